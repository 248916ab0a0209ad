"""Partitions: every table of the lake is divided by source and by UTC date of creation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One source's completions of one UTC day; `created_date` is `YYYY-MM-DD`."""

    source: str
    created_date: str

    @classmethod
    def of(cls, source: str, created: int) -> Partition:
        """Return the partition of a completion created at `created` (UTC seconds)."""
        return cls(source, datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d"))

    @property
    def folder(self) -> str:
        """The hive-style folder below a table: `source=…/created_date=…`."""
        return f"source={self.source}/created_date={self.created_date}"
