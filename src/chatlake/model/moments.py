"""When a completion was created, whatever unit its server uses.

The API documents whole UTC seconds. Other servers send milliseconds or finer, fractions, or a date
as text; the size of a number shows its unit, because no completion is older than a century.
"""

from __future__ import annotations

from datetime import UTC, datetime

_END_OF_DATES = 253_402_300_800  # the year 10000, UTC seconds
_OLDEST_AS_TEXT = 100_000_000  # 1973: a smaller number in a string may be a year, or anything
_LARGEST_SECONDS = 100_000_000_000
"""Larger numbers are milliseconds: as seconds they would be beyond the year 5000."""


def seconds_of(created: object) -> int | None:
    """Return a completion's `created` in UTC seconds; None if it is not a usable time."""
    if isinstance(created, str):
        return _from_text(created.strip())
    if isinstance(created, bool) or not isinstance(created, int | float):
        return None
    if not 0 <= created < _END_OF_DATES * 1_000_000_000:  # NaN is refused as well
        return None
    for _ in range(3):
        if created < _LARGEST_SECONDS:
            break
        created = created / 1000 if isinstance(created, float) else created // 1000
    return int(created) if created < _END_OF_DATES else None


def _from_text(text: str) -> int | None:
    if text.isdecimal() and text.isascii():
        number = int(text[:30])
        return seconds_of(number) if number >= _OLDEST_AS_TEXT else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return max(0, int(moment.timestamp()))
    except (OverflowError, ValueError):
        return None
