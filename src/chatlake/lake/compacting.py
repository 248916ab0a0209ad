"""Compaction of a lake: merges small files, some at a time, each time in one commit.

A commit adds the new files and removes the old ones from the list. When the run ends, the old ones
move to `replaced/` (`tidying`), where readers of an older commit find them. `vacuum` removes them
later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from chatlake import failpoints
from chatlake.errors import CommitConflictError, LakeDamagedError
from chatlake.lake.files.merging import merge
from chatlake.lake.lake import Lake
from chatlake.model.compaction import TARGET_BYTES, Merge, choose
from chatlake.model.manifest import Manifest, PartFile
from chatlake.model.partitions import Partition

Progress = Callable[[int, int], None]
"""Called with the bytes of files that were merged, and the bytes to merge in total."""

COMMIT_BYTES: Final = TARGET_BYTES
"""A commit merges about this much, or COMMIT_FILES files: the most that is lost to a kill."""
COMMIT_FILES: Final = 1_000
_CONFLICTS: Final = 3


@dataclass(slots=True)
class CompactionReport:
    """What a compaction did, in files and bytes of data.

    `seconds`: wall time. `merged`: files that the lake no longer lists; `added`: those that have
    their rows now. `damaged`: one sentence for each damaged file, which is left alone with the
    others of its table and partition.
    """

    merged: int = 0
    added: int = 0
    merged_bytes: int = 0
    added_bytes: int = 0
    rows: int = 0
    partitions: set[Partition] = field(default_factory=set)
    damaged: list[str] = field(default_factory=list)
    seconds: float = 0.0


def compact(
    lake: Lake,
    run_id: str,
    *,
    today: date | None = None,
    first: Container[Partition] = (),
    at_most: int | None = None,
    target: int = TARGET_BYTES,
    progress: Progress | None = None,
) -> CompactionReport:
    """Merge small files until none is left that is worth it; the caller holds the lake's lock.

    `today`, `target`: see `model.compaction.choose`. `first`: partitions to merge first. `at_most`:
    bytes to merge before it stops. What was committed stays, however it ends. LakeUnwritableError;
    CommitConflictError if there is another writer despite the lock.
    """
    begun_at = time.monotonic()
    compaction = _Compaction(lake, run_id, progress, at_most)
    while merges := compaction.affordable(choose(lake.state, today, target=target), first):
        for batch in _batches(merges):
            compaction.commit(batch)
    compaction.report.seconds = round(time.monotonic() - begun_at, 3)
    return compaction.report


class _Compaction:
    def __init__(
        self, lake: Lake, run_id: str, progress: Progress | None, at_most: int | None
    ) -> None:
        self.report = CompactionReport()
        self._lake = lake
        self._run_id = run_id
        self._progress = progress
        self._left = at_most
        self._conflicts = 0
        self._read = 0
        self._to_read = 0
        self._damaged: set[tuple[str, Partition]] = set()

    def affordable(self, merges: list[Merge], first: Container[Partition]) -> list[Merge]:
        """Return the merges to do now; those that save the most files per byte come first."""
        whole = [m for m in merges if (m.table, m.partition) not in self._damaged]
        if self._left is not None:
            whole.sort(key=lambda m: (m.partition not in first, m.bytes / (len(m.files) - 1)))
            left, some = self._left, []
            for each in whole:
                if each.bytes <= left:
                    left -= each.bytes
                    some.append(each)
            whole = some
        self._to_read = self._read + sum(each.bytes for each in whole)
        return whole

    def commit(self, merges: list[Merge]) -> None:
        """Merge, in one commit; damaged files are left as they are."""
        done: list[tuple[Merge, PartFile]] = []
        for each in merges:
            self._read += each.bytes
            if self._left is not None:
                self._left -= each.bytes
            try:
                done.append((each, merge(self._lake.storage, each)))
            except LakeDamagedError as error:
                self._damaged.add((each.table, each.partition))
                self.report.damaged.append(error.message)
            if self._progress is not None:
                self._progress(self._read, self._to_read)
        failpoints.reach("compaction.merged")
        if not done or not self._committed(done):
            return
        failpoints.reach("compaction.committed")
        report = self.report
        for each, file in done:
            report.merged += len(each.files)
            report.merged_bytes += each.bytes
            report.added += 1
            report.added_bytes += file.bytes
            report.rows += file.rows
            report.partitions.add(each.partition)

    def _committed(self, done: list[tuple[Merge, PartFile]]) -> bool:
        """Commit; False, and nothing changed, where another commit has removed one of the files."""
        removed = [file.path for each, _ in done for file in each.files]
        manifest = Manifest(run_id=self._run_id, added=[file for _, file in done], removed=removed)
        while self._lake.state.files.keys() >= set(removed):
            try:
                self._lake.commit(manifest)
            except CommitConflictError:
                self._conflicts += 1
                if self._conflicts > _CONFLICTS:
                    raise
                self._lake.refresh()
            else:
                return True
        return False


def _batches(merges: list[Merge]) -> Iterator[list[Merge]]:
    batch: list[Merge] = []
    octets = files = 0
    for each in merges:
        batch.append(each)
        octets += each.bytes
        files += len(each.files)
        if octets >= COMMIT_BYTES or files >= COMMIT_FILES:
            yield batch
            batch, octets, files = [], 0, 0
    if batch:
        yield batch
