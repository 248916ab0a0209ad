"""Committing: from flushes to manifests, with the figures, cursor and failures of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from chatlake.backup.items import Flush, Outcome, SourceJob
from chatlake.backup.known import KnownCompletions, KnownImages
from chatlake.backup.ports import LakeStore, Observer, RequestFigures
from chatlake.backup.progress import FinishedPrefix
from chatlake.backup.sweep import SweepResult
from chatlake.model.manifest import (
    Cursor,
    Failure,
    Manifest,
    PartFile,
    SourceRun,
    format_time,
)
from chatlake.model.partitions import Partition
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, HISTORY, IMAGES, MESSAGES

_REPLACED_TABLES = (COMPLETIONS, MESSAGES, CONTENT_PARTS)


class Committer:
    """Commits the flushes of one run and source; the only one that writes manifests.

    `run` holds the figures so far; `failures` those of this run by completion id. `resumable`
    says whether the finished prefix may become the cursor; `would_have_shown`, whether the list
    held a completion created then (UTC seconds), if the source has it.
    """

    def __init__(
        self,
        job: SourceJob,
        run: SourceRun,
        lake: LakeStore,
        *,
        prefix: FinishedPrefix,
        completions: KnownCompletions,
        images: KnownImages,
        observer: Observer,
        requests: Callable[[], RequestFigures],
        resumable: Callable[[], bool],
        would_have_shown: Callable[[int | None], bool],
    ) -> None:
        self.run = run
        self.failures: dict[str, Failure] = {}
        self._job = job
        self._lake = lake
        self._prefix = prefix
        self._completions = completions
        self._images = images
        self._observer = observer
        self._requests = requests
        self._resumable = resumable
        self._would_have_shown = would_have_shown
        self._absent: dict[str, Failure] = {}
        self._elsewhere = RequestFigures()
        self._is_broken = False
        self._started = time.monotonic()
        self._resolved: list[tuple[str, str]] = []
        self._new_failures: list[Failure] = []

    async def take(self, flush: Flush) -> None:
        """Count the outcomes of a flush and commit what it holds.

        Where that fails nothing of it counts: neither figures nor cursor tell of what is not there.
        """
        number, before = self._lake.state.number, msgspec.structs.replace(self.run)
        failures, absent = dict(self.failures), dict(self._absent)
        for outcome in flush.outcomes:
            self._count(outcome)
        self._elsewhere += flush.requests
        self._prefix.advance()
        if flush.parts or self._new_failures or self._resolved:
            try:
                await asyncio.to_thread(self._commit, flush)
            except BaseException:
                if self._lake.state.number == number:
                    self._is_broken = True
                    for name in SourceRun.__struct_fields__:
                        setattr(self.run, name, getattr(before, name))
                    self.failures, self._absent = failures, absent
                    self._new_failures, self._resolved = [], []
                raise
        self._completions.settle(
            outcome.partition for outcome in flush.outcomes if outcome.partition is not None
        )
        self._observer.progressed(self._job.name, self.run)

    @property
    def gaps(self) -> int:
        """How many completions could not be had."""
        return len(self.failures) + len(self._absent)

    def close_gaps(self) -> None:
        """Close the gaps that can never be filled: neither by its id nor in the list is it there.

        One answer alone closes nothing: a source that knows no such completion today may list it.
        """
        for completion_id, failure in list(self._absent.items()):
            if self._would_have_shown(failure.created):
                self._resolved.append((self._job.name, completion_id))
                del self._absent[completion_id]

    async def finish(
        self, status: str, error: str | None, sweep: SweepResult | None = None
    ) -> None:
        """Commit the end of the run: its status and last figures, and what a full sweep found."""
        for failure in self._absent.values():
            self._count_failure(failure)
        self._absent.clear()
        self.run.status = status
        self.run.error = error
        self.run.finished_at = format_time(datetime.now(UTC))
        sweep = sweep or SweepResult()
        self.run.deleted = sweep.deleted
        await asyncio.to_thread(self._commit, Flush(parts=sweep.added), sweep.removed)
        self._observer.progressed(self._job.name, self.run)

    def _count(self, outcome: Outcome) -> None:
        run, key = self.run, (self._job.name, outcome.completion_id)
        if outcome.sequence is not None:
            self._prefix.finish(outcome.sequence)
        self._absent.pop(outcome.completion_id, None)  # it is in the list after all
        if outcome.failure is not None:
            failure = _again(outcome.failure, self._lake.state.failures.get(key))
            if outcome.absent:
                self._absent[outcome.completion_id] = failure
            else:
                self._count_failure(failure)
            return
        if key in self._lake.state.failures:
            self._resolved.append(key)
        run.listed += 1
        setattr(run, outcome.kind, getattr(run, outcome.kind) + 1)
        run.messages += outcome.messages
        run.content_parts += outcome.content_parts
        run.images += outcome.images

    def _count_failure(self, failure: Failure) -> None:
        self.failures[failure.completion_id] = failure
        self._new_failures.append(failure)
        self.run.listed += 1
        self.run.failed += 1

    def _commit(self, flush: Flush, removed: Sequence[str] = ()) -> None:
        added, removed = list(flush.parts), list(removed)
        for partition, completion_ids in flush.replaced.items():
            history = self._lake.superseded(partition, completion_ids)
            if history is not None:
                added += self._lake.write_parts({(HISTORY, partition): history})
            files, paths = self._lake.without_completions(
                partition, completion_ids, _REPLACED_TABLES
            )
            added += files
            removed += paths
        for partition, images in flush.images.items():
            added = self._without_doubled_images(partition, images, added)
        self._complete_figures(added)
        manifest = Manifest(
            run_id=self.run.run_id,
            added=added,
            removed=removed,
            cursors=self._cursor(),
            runs=[msgspec.structs.replace(self.run)],
            failures=self._new_failures,
            resolved=self._resolved,
        )
        self._lake.commit(manifest)
        self._new_failures, self._resolved = [], []
        for partition, images in flush.images.items():
            self._images.of(partition).update(images)
        self._observer.committed(manifest)

    def _without_doubled_images(
        self, partition: Partition, images: set[str], added: list[PartFile]
    ) -> list[PartFile]:
        """Drop images that another batch of this run committed meanwhile."""
        doubled = images & self._images.of(partition)
        if not doubled:
            return added
        files = [f for f in added if f.table == IMAGES and f.partition == partition]
        rewritten, replaced = self._lake.without_images(files, doubled)
        return [f for f in added if f.path not in set(replaced)] + rewritten

    def _complete_figures(self, added: list[PartFile]) -> None:
        run, requests = self.run, self._requests() + self._elsewhere
        run.requests = requests.requests
        run.retries = requests.retries
        run.rate_limited = requests.rate_limited
        run.files_added += len(added)
        run.bytes_added += sum(file.bytes for file in added)
        run.seconds = round(time.monotonic() - self._started, 3)

    def _cursor(self) -> dict[str, Cursor]:
        last = self._prefix.last
        if last is None or self._is_broken or not self._resumable():
            return {}
        old = self._lake.state.cursors.get(self._job.name)
        if old is not None and old.selection == self._job.selection and old.created > last[1]:
            return {}  # still within the lookback: the cursor never goes back
        return {self._job.name: Cursor(last[0], last[1], self._job.selection)}


def _again(failure: Failure, earlier: Failure | None) -> Failure:
    if earlier is None:
        return failure
    return msgspec.structs.replace(
        failure,
        created=failure.created if failure.created is not None else earlier.created,
        first_attempt_at=earlier.first_attempt_at,
        attempts=earlier.attempts + 1,
    )
