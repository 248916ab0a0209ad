"""Full sweeps: which stored completions a listing of everything no longer shows.

A completion is marked deleted only after two full sweeps in a row have both missed it. A sweep
counts only when it has read the whole list: one that failed, was filtered or cut short, or showed
nothing at all, marks nothing. What is marked stays in the lake, readable.

The list of another account misses everything, too. So a miss counts only with a witness: the list
shows some other completion of the same stretch of runs (`chatlake.backup.continuity`), and so it
belongs to the account that had the missed one. Without a witness a miss counts once the completion
is older than `retention`, unless the list shows completions that this account should have shown to
earlier runs. What does not count is neither marked nor remembered, and the sweep warns.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chatlake.backup.continuity import Continuity
from chatlake.backup.items import SourceJob
from chatlake.backup.known import Known, KnownCompletions
from chatlake.backup.lake_port import LakeStore
from chatlake.backup.rows import columns_of
from chatlake.model.counts import count
from chatlake.model.manifest import LakeState, PartFile, parse_time
from chatlake.model.partitions import Partition
from chatlake.model.tables import MISSED

logger = logging.getLogger(__name__)

_SECOND = 1_000_000
_HOUR = 3600 * _SECOND  # clocks differ a little, and completions become visible late


@dataclass(slots=True)
class SweepResult:
    """What a sweep changes in the lake, for the run to commit, and how many it marks deleted.

    `withheld`: how many missed completions do not count, because the list may be another account's;
    `warning` says so in words, and is empty if there are none.
    """

    added: list[PartFile] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    deleted: int = 0
    withheld: int = 0
    warning: str = ""


class Sweep:
    """Collects, partition by partition, what one full sweep misses and what it shows."""

    def __init__(self, job: SourceJob, lake: LakeStore, run_id: str) -> None:
        self._job = job
        self._lake = lake
        self._run_id = run_id
        runs = lake.state.runs.values()
        self._continuity = Continuity(run for run in runs if run.source == job.name)
        # Of each partition: what is missed, and when it was first seen (microseconds).
        self._missed: dict[Partition, dict[str, int]] = {}
        self._shown: set[int] = set()
        self._shows_strangers = False

    def passed(self, partition: Partition, known: dict[str, Known]) -> None:
        """Take note of a partition that the list has passed: `known` says what it showed."""
        missed = {
            completion_id: entry.version.first_seen_at
            for completion_id, entry in known.items()
            if entry.version is not None and not entry.version.deleted and not entry.in_hand
        }
        before = self._missed.get(partition)
        if before is None:
            self._take_witnesses(partition, known)
        else:
            # Loaded again after it was forgotten, a partition shows only what came since: both
            # count.
            seen = [first_seen for name, first_seen in before.items() if name not in missed]
            self._shown.update(map(self._continuity.stretch, seen))
            missed = {name: before[name] for name in before if name in missed}
        self._missed[partition] = missed

    def finish(self, completions: KnownCompletions) -> SweepResult:
        """Compare with the sweep before: missed by both is deleted, missed now is remembered."""
        for partition in completions.loaded():
            self.passed(partition, completions.entries(partition))
        now = round(datetime.now(UTC).timestamp() * _SECOND)
        result = SweepResult()
        for partition in self._lake.state.partitions(self._job.name):
            if self._job.is_past(partition):
                continue  # the list was not asked for it, and the lake will forget it
            if partition not in self._missed:  # the list showed nothing of that day
                self.passed(partition, completions.stored(partition))
            self._compare(partition, self._missed[partition], now, result)
        if result.deleted:
            gone = count(result.deleted, "completion")
            logger.info("%s: gone at the source: %s", self._job.name, gone)
        if result.withheld:
            result.warning = _why_withheld(self._job.name, result.withheld)
            logger.warning("%s", result.warning)
        return result

    def _take_witnesses(self, partition: Partition, known: dict[str, Known]) -> None:
        """Take note of the stretches of what is shown, and of whether it was overlooked before."""
        shown = [entry.version for entry in known.values() if entry.in_hand]
        if not shown:
            return
        first_seen = [version.first_seen_at for version in shown if version is not None]
        self._shown.update(map(self._continuity.stretch, first_seen))
        if len(first_seen) < len(shown):  # some are seen now for the first time
            first_seen.append(round(datetime.now(UTC).timestamp() * _SECOND))
        if not partition.is_timeless and self._continuity.was_overlooked(
            partition.end * _SECOND + _HOUR, max(first_seen)
        ):
            self._shows_strangers = True

    def _compare(
        self, partition: Partition, missed: dict[str, int], now: int, result: SweepResult
    ) -> None:
        before = self._lake.missed(partition)
        counted = {name for name, since in missed.items() if self._counts(partition, since, now)}
        withheld = missed.keys() - counted
        result.withheld += len(withheld)
        deleted = counted & before
        # What is withheld stays as it was: this sweep does not count for it.
        remembered = (counted - before) | (withheld & before)
        if deleted:
            added, removed = self._lake.mark_deleted(partition, deleted, now)
            result.added += added
            result.removed += removed
            result.deleted += len(deleted)
        if remembered == before:
            return
        if before:
            files = self._lake.state.partition_files(partition, MISSED)
            result.removed += [file.path for file in files]
        if remembered:
            rows = columns_of(MISSED, [(name, now, self._run_id) for name in sorted(remembered)])
            result.added += self._lake.write_parts({(MISSED, partition): rows})

    def _counts(self, partition: Partition, first_seen_at: int, now: int) -> bool:
        """Say whether a miss says anything about this completion."""
        if self._continuity.stretch(first_seen_at) in self._shown:
            return True
        created_before = first_seen_at
        if not partition.is_timeless:
            created_before = min(created_before, partition.end * _SECOND)
        has_expired = created_before + self._job.retention * _SECOND < now
        return has_expired and not self._shows_strangers


def _why_withheld(source: str, number: int) -> str:
    """Return the warning for a list that shows none of the completions that should be in it."""
    what = count(number, "completion")
    return (
        f"{source}: the list shows none of {what} that earlier runs stored, and nothing else that "
        "the same runs stored. It may be the list of another account, so nothing is marked as "
        "deleted. Check api_key, base_url and headers, or configure the other account under its "
        "own name. Completions that were deleted at the source are marked once `retention` has "
        "passed."
    )


def sweeps_everything(job: SourceJob) -> bool:
    """Whether a listing of this job shows all that the source has."""
    return (
        job.mode == "full"
        and not job.filters
        and job.created_after is None
        and job.created_before is None
    )


_ENDED_WELL = ("complete", "incomplete")


def with_due_sweep(job: SourceJob, state: LakeState) -> SourceJob:
    """Return the job as a full sweep if its last one is `full_sweep_every` ago, else unchanged.

    The first run of a source lists everything anyway, so the time counts from there. Runs are in
    the order of their commits. If the clock was put back since the last sweep, one is due, because
    its age is unknown.
    """
    if job.mode != "incremental" or job.full_sweep_every is None:
        return job
    runs = [run for run in state.runs.values() if run.source == job.name]
    sweeps = [run for run in runs if run.mode == "full" and run.status in _ENDED_WELL]
    since = sweeps[-1:] or runs[:1]
    if not since:
        return job
    age = (datetime.now(UTC) - parse_time(since[0].started_at)).total_seconds()
    is_due = not 0 <= age < job.full_sweep_every
    return dataclasses.replace(job, mode="full") if is_due else job
