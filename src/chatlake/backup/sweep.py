"""Full sweeps: which stored completions a listing of everything no longer shows.

A completion is marked deleted only after two full sweeps in a row have both missed it. A sweep
counts only when it has read the whole list: one that failed, was filtered or cut short, or showed
nothing at all, marks nothing. What is marked stays in the lake, readable.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chatlake.backup.items import SourceJob
from chatlake.backup.known import Known, KnownCompletions
from chatlake.backup.ports import LakeStore
from chatlake.backup.rows import columns_of
from chatlake.model.manifest import PartFile
from chatlake.model.partitions import Partition
from chatlake.model.tables import MISSED

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SweepResult:
    """What a sweep changes in the lake, for the run to commit, and how many it marks deleted."""

    added: list[PartFile] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    deleted: int = 0


class Sweep:
    """Collects, partition by partition, what one full sweep misses."""

    def __init__(self, job: SourceJob, lake: LakeStore, run_id: str) -> None:
        self._job = job
        self._lake = lake
        self._run_id = run_id
        self._missed: dict[Partition, set[str]] = {}

    def passed(self, partition: Partition, known: dict[str, Known]) -> None:
        """Take note of a partition that the list has passed: `known` says what it showed."""
        missed = {
            completion_id
            for completion_id, entry in known.items()
            if entry.version is not None and not entry.version.deleted and not entry.in_hand
        }
        # Loaded again after it was forgotten, a partition shows only what came since: both count.
        before = self._missed.get(partition)
        self._missed[partition] = missed if before is None else before & missed

    def finish(self, completions: KnownCompletions) -> SweepResult:
        """Compare with the sweep before: missed by both is deleted, missed now is remembered."""
        for partition in completions.loaded():
            self.passed(partition, completions.entries(partition))
        now = round(datetime.now(UTC).timestamp() * 1_000_000)
        result = SweepResult()
        for partition in self._lake.state.partitions(self._job.name):
            if partition not in self._missed:  # the list showed nothing of that day
                self.passed(partition, completions.stored(partition))
            self._compare(partition, self._missed[partition], now, result)
        if result.deleted:
            logger.info("%s: %d completions are gone at the source", self._job.name, result.deleted)
        return result

    def _compare(
        self, partition: Partition, missed: set[str], now: int, result: SweepResult
    ) -> None:
        before = self._lake.missed(partition)
        deleted, first = missed & before, missed - before
        if deleted:
            added, removed = self._lake.mark_deleted(partition, deleted, now)
            result.added += added
            result.removed += removed
            result.deleted += len(deleted)
        if before:
            files = self._lake.state.partition_files(partition, MISSED)
            result.removed += [file.path for file in files]
        if first:
            rows = columns_of(MISSED, [(name, now, self._run_id) for name in sorted(first)])
            result.added += self._lake.write_parts({(MISSED, partition): rows})


def sweeps_everything(job: SourceJob) -> bool:
    """Whether a listing of this job shows all that the source has."""
    return (
        job.mode == "full"
        and not job.filters
        and job.created_after is None
        and job.created_before is None
    )
