"""Text and figures as pages show them.

Text comes from strangers. Templates escape it (`templates.py`). Here invisible characters that
would have an effect become text: control characters, and direction marks, which make one text read
as another.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Any, Final

from chatlake.model.counts import count

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def visible(text: str) -> str:
    """Return `text` with invisible characters as `⟨U+202E⟩`; line ends become line feeds."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def shortened(text: str, most: int) -> str:
    """Return the first `most` characters of a text, and an ellipsis for what was cut."""
    return text if len(text) <= most else f"{text[:most]}…"


def number(value: int | float | None) -> str:
    """Return a figure with thousands separated, or a dash if it is unknown."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def size(octets: int | None) -> str:
    """Return a number of bytes in the unit that suits it."""
    if octets is None:
        return "–"
    value, unit = float(octets), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return count(octets, "byte") if unit == 0 else f"{value:,.1f} {_UNITS[unit]}"


def moment(created_us: int | None) -> datetime | None:
    """Return microseconds since 1970 as a time in UTC."""
    return None if created_us is None else datetime.fromtimestamp(created_us / 1_000_000, UTC)


def time_of(created_us: int | None) -> str:
    """Return a time as `2026-01-31 23:59:59`, UTC; a dash if it is unknown."""
    at = moment(created_us)
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def long_day(day: date) -> str:
    """Return a day as `Saturday, 31 January 2026`."""
    return f"{day:%A}, {day.day} {day:%B %Y}"


def pretty_json(text: str) -> str | None:
    """Return JSON with each value on its own line; None if it is not JSON."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, indent=2, ensure_ascii=False)
