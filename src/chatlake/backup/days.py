"""Which days of what was fetched are written now, and which wait, so that each is written once.

1. Rows are collected by day, because every file holds one day.
2. The list comes in the order of time. So a day is over when the list shows a later one and nothing
   of it is being fetched any more.
3. When rows have to be written, the days that are over are written whole. The rows of a day that is
   not over wait for the rest of it.
4. No row waits longer than `max_age_s`: then its day is written as it is, and the rest of it goes
   into another file.
5. If what would wait takes more than half of the memory, everything is written.

Only the number of files depends on the order: if a list comes in another one, days are written in
more pieces.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from chatlake.backup.items import Flush
from chatlake.backup.rows import RowBuffer
from chatlake.model.flatten import FlatCompletion
from chatlake.model.partitions import Partition


@dataclass(slots=True)
class FetchedDay:
    """What was fetched of one day: rows and outcomes.

    `since`: when the first of them came, in monotonic seconds.
    """

    rows: RowBuffer
    since: float
    flush: Flush = field(default_factory=Flush)


class Days:
    """What was fetched and is not handed over yet, by day; `bytes`: how much memory it takes.

    None stands for the day of a completion whose day is not known; what belongs there never waits.
    With `keep_images`, the bytes of images are kept.
    """

    def __init__(self, *, max_bytes: int, max_age_s: float, keep_images: bool) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._keep_images = keep_images
        self._days: dict[Partition | None, FetchedDay] = {}
        self._latest: Partition | None = None
        self._under_way: Counter[Partition] = Counter()
        self.bytes = 0

    def of(self, partition: Partition | None) -> FetchedDay:
        """Return what waits of a day, to add to it."""
        day = self._days.get(partition)
        if day is None:
            rows = RowBuffer(keep_images=self._keep_images)
            day = self._days[partition] = FetchedDay(rows, since=time.monotonic())
        return day

    def add(self, partition: Partition, flat: FlatCompletion) -> None:
        """Take in the rows of one completion."""
        rows = self.of(partition).rows
        before = rows.bytes
        rows.add(partition, flat)
        self.bytes += rows.bytes - before

    def begin(self, partition: Partition) -> None:
        """Take note that the list shows a completion of this day, which is fetched now."""
        self._latest = partition
        self._under_way[partition] += 1

    def end(self, partition: Partition) -> None:
        """Take note that such a completion was fetched, or failed."""
        self._under_way[partition] -= 1
        if not self._under_way[partition]:
            del self._under_way[partition]

    @property
    def is_full(self) -> bool:
        """Whether something has to be written before more is fetched."""
        return self.bytes >= self._max_bytes

    @property
    def next_deadline_s(self) -> float:
        """In how many seconds the oldest rows must be written; `max_age_s` if there are none."""
        oldest = min((day.since for day in self._days.values()), default=time.monotonic())
        return max(0.0, oldest + self._max_age_s - time.monotonic())

    def take(self, *, everything: bool = False) -> tuple[RowBuffer, Flush] | None:
        """Take out what has to be written now; None if there is nothing."""
        due = [place for place in self._days if everything or self._is_due(place)]
        waiting = self.bytes - sum(self._days[place].rows.bytes for place in due)
        if waiting * 2 > self._max_bytes:
            due = list(self._days)
        if not due:
            return None
        # None first: a failed request by id must count before the same completion from the list.
        due.sort(key=lambda place: place is not None)
        rows, flush = RowBuffer(keep_images=self._keep_images), Flush()
        for place in due:
            day = self._days.pop(place)
            self.bytes -= day.rows.bytes
            rows.take_over(day.rows)
            flush.take_over(day.flush)
        return rows, flush

    def _is_due(self, place: Partition | None) -> bool:
        is_over = place is None or (place != self._latest and not self._under_way[place])
        return is_over or self._days[place].since + self._max_age_s <= time.monotonic()
