"""Times, lengths of time and figures as the report's sentences show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from chatlake.model.counts import count

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def when(at: datetime | None) -> str:
    """Return a time as `31 Jan 2026, 23:59 UTC`; a dash if it is unknown."""
    return "–" if at is None else f"{short_day(at.astimezone(UTC).date())}, {at:%H:%M} UTC"


def short_day(day: date) -> str:
    """Return a day as `31 Jan 2026`."""
    return f"{day.day} {day:%b %Y}"


def length(span: timedelta) -> str:
    """Return a length of time in its largest unit, `3 days`, or `less than a minute`."""
    seconds = abs(span.total_seconds())
    for size, unit in _UNITS:
        if seconds >= size:
            return count(int(seconds // size), unit)
    return "less than a minute"


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago a time was; a future one is `just now`."""
    return "just now" if now - at < timedelta(minutes=1) else f"{length(now - at)} ago"


def share(part: int, whole: int) -> str:
    """Return a share in per cent: never 0 % for something, or 100 % for less than all."""
    if not whole:
        return "–"
    per_cent = 100 * part / whole
    if part and per_cent < 0.1:
        return "< 0.1 %"
    if part < whole and per_cent > 99.9:
        return "> 99.9 %"
    return f"{per_cent:.0f} %" if per_cent in (0, 100) else f"{per_cent:.1f} %"


def dollars(amount: float | None) -> str:
    """Return an amount of money; a dash if it is unknown."""
    if amount is None:
        return "–"
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}"


def listed(words: Sequence[str], most: int) -> str:
    """Return `a, b and c`; items beyond `most` as a number."""
    shown, more = list(words[:most]), len(words) - most
    if more > 0:
        shown.append(f"{more:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def shortened(text: str, width: int) -> str:
    """Return `text` with at most `width` characters, an ellipsis for what was cut."""
    return text if len(text) <= width else text[: width - 1] + "…"
