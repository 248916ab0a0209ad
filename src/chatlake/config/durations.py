"""Durations as people write them: `24h`, `7d`, `1h30m`, `500ms`."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS: dict[str, timedelta] = {
    "y": timedelta(days=365),
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
LONGEST = timedelta(days=36_500)
EXPECTED = "a duration such as 24h, 7d, 60s, 500ms or 1h30m (units y, w, d, h, m, s, ms)"

# Each unit at most once, the largest first; `PATTERN` also goes into the JSON Schema.
PATTERN = r"^(?=[0-9])" + "".join(rf"([0-9]+{unit})?" for unit in UNITS) + "$"
DAYS_PATTERN = r"^(?=[0-9])([0-9]+y)?([0-9]+w)?([0-9]+d)?$"
EXPECTED_DAYS = "whole days such as 90d, 8w or 2y (units y, w, d; for two months write 60d)"
_SHAPE = re.compile(PATTERN, re.ASCII)


def parse_duration(text: str) -> timedelta:
    """The duration that `text` names, exact to the millisecond, between 0 and 100 years.

    Raises ValueError, with what is expected, for anything else: a number without a unit, a
    unit twice or out of order, a fraction, a sign, a space.
    """
    if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII):
        raise ValueError(f"expected {EXPECTED}; a number needs a unit: write {text}s or {text}h")
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"expected {EXPECTED}")
    total = timedelta(0)
    for part, unit in zip(found.groups(), UNITS.values(), strict=True):
        if part is not None:
            total += _times(unit, part.rstrip("ywdhms"))
    if total > LONGEST:
        raise ValueError("expected a duration of at most 36500d")
    return total


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as `duration` (whole milliseconds)."""
    rest, parts = duration, []
    for unit, size in UNITS.items():
        if unit not in {"y", "w"}:  # people count 30d, not 4w2d
            count, rest = divmod(rest, size)
            if count:
                parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _times(unit: timedelta, digits: str) -> timedelta:
    if len(digits) > 16 or int(digits) > LONGEST // unit:
        return LONGEST + unit
    return int(digits) * unit
