"""Compaction: which part files to merge, decided by the list of files alone.

Small files are costly, because each query opens every one. Merging is costly, too: it writes the
same bytes again, and the replaced files stay on the disk until `vacuum`. So a file is merged when
that is cheap compared with what was added since, and once more when its day is over:

- A file of half the target or more is left alone for good.
- Of the smaller ones, the smallest are merged, up to the largest one that is no more than `ratio`
  times as large as the others of the merge together. So rewritten bytes end up in a file that is
  larger by a share of at least 1 / `ratio`, and each byte is rewritten only a limited number of
  times.
- `ratio` is OPEN_RATIO while the day may still grow, CLOSED_RATIO when it is over.

When nothing is left to merge, each small file is more than `ratio` times as large as all smaller
ones together: at most 8 of an open day are below half of the target, and one or two of a closed
one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Final

from chatlake.model.manifest import LakeState, PartFile
from chatlake.model.partitions import Partition
from chatlake.model.tables import COLUMNS

TARGET_BYTES: Final = 128 << 20
OPEN_RATIO: Final = 4
CLOSED_RATIO: Final = 64
# A run lists again from a day before the newest completion, so yesterday may still grow.
_OPEN_DAYS: Final = 2


@dataclass(frozen=True, slots=True)
class Merge:
    """Files of one table and partition that become one, in the order of their commits."""

    files: tuple[PartFile, ...]

    @property
    def table(self) -> str:
        """The table that the files belong to."""
        return self.files[0].table

    @property
    def partition(self) -> Partition:
        """The partition that the files belong to."""
        return self.files[0].partition

    @property
    def bytes(self) -> int:
        """Total size of the files: about as much is read and rewritten."""
        return sum(file.bytes for file in self.files)


def choose(state: LakeState, today: date | None, *, target: int = TARGET_BYTES) -> list[Merge]:
    """Return the merges that are worth their cost, by partition.

    `today`: the UTC date that decides whether a day is over; None merges all small files, at any
    cost. `target`: size in bytes that no merge exceeds.
    """
    by_place: dict[tuple[Partition, str], list[PartFile]] = {}
    for file in list(state.files.values()):
        if file.table in COLUMNS and file.bytes < target // 2:
            by_place.setdefault((file.partition, file.table), []).append(file)
    merges: list[Merge] = []
    for (partition, _), small in sorted(by_place.items()):
        ratio = None if today is None else _ratio(partition, today)
        merges += _packed(_worth_it(small, ratio), target)
    return merges


def _ratio(partition: Partition, today: date) -> int:
    is_open = partition.created_date > (today - timedelta(days=_OPEN_DAYS)).isoformat()
    return OPEN_RATIO if is_open else CLOSED_RATIO


def _worth_it(small: Sequence[PartFile], ratio: int | None) -> list[PartFile]:
    """Return which of the files to merge, in the order in which they were given."""
    if ratio is None:
        return list(small)
    by_size = sorted(small, key=lambda file: file.bytes)
    smaller = accumulate(file.bytes for file in by_size)
    largest = 0  # its place in `by_size`; 0: none is worth it
    for place, (file, others) in enumerate(zip(by_size[1:], smaller, strict=False), start=1):
        if file.bytes <= ratio * others:
            largest = place
    chosen = {file.path for file in by_size[: largest + 1]} if largest else set()
    return [file for file in small if file.path in chosen]


def _packed(files: Sequence[PartFile], target: int) -> Iterator[Merge]:
    """Divide files into merges of at most `target` bytes; a single file is not a merge."""
    pack: list[PartFile] = []
    size = 0
    for file in files:
        if pack and size + file.bytes > target:
            if len(pack) > 1:
                yield Merge(tuple(pack))
            pack, size = [], 0
        pack.append(file)
        size += file.bytes
    if len(pack) > 1:
        yield Merge(tuple(pack))
