"""Partitions: every table of the lake is divided by source and by UTC date of creation."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import msgspec

_DAY_S = 86_400
_TIMELESS = "1970-01-01"


class Partition(msgspec.Struct, frozen=True, order=True, gc=False):
    """One source's completions of one UTC day; `created_date` is `YYYY-MM-DD`."""

    source: str
    created_date: str

    @classmethod
    def of(cls, source: str, created: int) -> Partition:
        """Return the partition of a completion created at `created` (UTC seconds)."""
        return _of_day(source, created // _DAY_S)

    @property
    def folder(self) -> str:
        """The hive-style folder below a table: `source=…/created_date=…`."""
        return f"source={self.source}/created_date={self.created_date}"

    @property
    def end(self) -> int:
        """The first second (UTC) after its day."""
        midnight = datetime.fromisoformat(self.created_date).replace(tzinfo=UTC)
        return int(midnight.timestamp()) + _DAY_S

    @property
    def is_timeless(self) -> bool:
        """Whether it has the completions without a usable time, which count as of 1970-01-01."""
        return self.created_date == _TIMELESS


@lru_cache(maxsize=64)
def _of_day(source: str, day: int) -> Partition:
    return Partition(source, str(date(1970, 1, 1) + timedelta(day)))
