"""Partitions: every table of the lake is divided by source and by UTC date of creation."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

import msgspec


class Partition(msgspec.Struct, frozen=True, order=True, gc=False):
    """One source's completions of one UTC day; `created_date` is `YYYY-MM-DD`."""

    source: str
    created_date: str

    @classmethod
    def of(cls, source: str, created: int) -> Partition:
        """Return the partition of a completion created at `created` (UTC seconds)."""
        return _of_day(source, created // 86_400)

    @property
    def folder(self) -> str:
        """The hive-style folder below a table: `source=…/created_date=…`."""
        return f"source={self.source}/created_date={self.created_date}"


@lru_cache(maxsize=64)
def _of_day(source: str, day: int) -> Partition:
    return Partition(source, str(date(1970, 1, 1) + timedelta(day)))
