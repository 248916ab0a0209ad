"""Committing: from flushes to manifests, with the figures, cursor and failures of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from chatlake.backup.discovery import Discovery
from chatlake.backup.field_news import counted, warn_of
from chatlake.backup.items import Flush, Outcome, SourceJob
from chatlake.backup.known import KnownImages
from chatlake.backup.lake_port import Columns, LakeStore
from chatlake.backup.list_gaps import UNLISTED
from chatlake.backup.list_requests import CLOCK_SLACK_S
from chatlake.backup.ports import CompletionApi, Observer, RequestFigures
from chatlake.backup.sweep import SweepResult
from chatlake.model.manifest import (
    Cursor,
    Failure,
    Manifest,
    PartFile,
    SourceRun,
    format_time,
)
from chatlake.model.new_fields import NewField
from chatlake.model.partitions import Partition
from chatlake.model.redaction.rules import total
from chatlake.model.tables import (
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
)


class Committer:
    """Commits the flushes of one run and source.

    `run` has the figures so far, `failures` those of this run by completion id. `discovery` knows
    how far the list has been read and what it does not show; `api` counts its requests.
    """

    def __init__(
        self,
        job: SourceJob,
        run: SourceRun,
        lake: LakeStore,
        *,
        discovery: Discovery,
        api: CompletionApi,
        images: KnownImages,
        observer: Observer,
    ) -> None:
        self.run = run
        self.failures: dict[str, Failure] = {}
        self._job = job
        self._lake = lake
        self._discovery = discovery
        self._api = api
        self._images = images
        self._observer = observer
        self._absent: dict[str, Failure] = {}
        self._elsewhere = RequestFigures()
        self._is_broken = False
        self._started = time.monotonic()
        self._resolved: list[tuple[str, str]] = []
        self._first_met: dict[tuple[str, str], None] = {}
        self._new_failures: list[Failure] = []

    async def take(self, flush: Flush) -> None:
        """Count the outcomes of a flush and commit it.

        If that fails, nothing of it counts: figures and cursor stay as they were.
        """
        number, before = self._lake.state.number, msgspec.structs.replace(self.run)
        failures, absent = dict(self.failures), dict(self._absent)
        for outcome in flush.outcomes:
            self._count(outcome)
        self._elsewhere += flush.requests
        self._discovery.prefix.advance()
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
        self._discovery.known.settle(
            outcome.partition for outcome in flush.outcomes if outcome.partition is not None
        )
        self._observer.progressed(self._job.name, self.run)

    @property
    def new_fields(self) -> list[NewField]:
        """The unknown fields that no earlier run met."""
        known = self._lake.state.new_fields
        return [known[key] for key in self._first_met if key in known]

    @property
    def gaps(self) -> int:
        """How many completions could not be fetched."""
        return len(self.failures) + len(self._absent) + len(self._discovery.gaps.failures)

    def close_gaps(self) -> None:
        """Close the gaps that can never be filled, and those that the lake would not keep.

        A gap can never be filled if its completion is found neither by its id nor in the list. The
        answer to the id alone is not enough: a source that does not know it today may list it. A
        place in the list is closed once the list was read there without an error.
        """
        for completion_id, failure in list(self._absent.items()):
            if self._discovery.would_have_shown(failure.created):
                self._resolved.append((self._job.name, completion_id))
                del self._absent[completion_id]
        for key, failure in self._lake.state.failures.items():
            if key[0] != self._job.name:
                continue
            if self._job.is_too_old(failure.created) or key[1] in self._discovery.too_old:
                self._resolved.append(key)  # the lake would not keep it
                continue
            if failure.reason != UNLISTED:
                continue
            if key[1] in self._discovery.gaps.failures:
                continue
            if self._discovery.has_read(failure.created):
                self._resolved.append(key)
            elif self._job.ids is None:
                self._count_failure(failure)  # not seen tonight, but still open

    async def finish(
        self, status: str, error: str | None, sweep: SweepResult | None = None
    ) -> None:
        """Commit the end of the run: its status and last figures, and what a full sweep found."""
        for failure in self._absent.values():
            self._count_failure(failure)
        self._absent.clear()
        for name, gap in self._discovery.gaps.failures.items():
            failure = msgspec.structs.replace(gap, run_id=self.run.run_id)
            earlier = self._lake.state.failures.get((self._job.name, name))
            self._count_failure(_again(failure, earlier))
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
            self._discovery.prefix.finish(outcome.sequence)
        self._absent.pop(outcome.completion_id, None)  # the list contains it after all
        if outcome.instead_of is not None:
            run.listed -= 1
            setattr(run, outcome.instead_of, getattr(run, outcome.instead_of) - 1)
        if outcome.failure is not None:
            failure = _again(outcome.failure, self._lake.state.failures.get(key))
            if outcome.absent:
                self._absent[outcome.completion_id] = failure
            else:
                self._count_failure(failure)
            return
        self._uncount_failure(outcome.completion_id)
        if key in self._lake.state.failures:
            self._resolved.append(key)
        run.listed += 1
        setattr(run, outcome.kind, getattr(run, outcome.kind) + 1)
        run.messages += outcome.messages
        run.content_parts += outcome.content_parts
        run.images += outcome.images
        if outcome.redacted:
            run.redacted = total([run.redacted, outcome.redacted])

    def _count_failure(self, failure: Failure) -> None:
        self._uncount_failure(failure.completion_id)
        self.failures[failure.completion_id] = failure
        self._new_failures.append(failure)
        self.run.listed += 1
        self.run.failed += 1

    def _uncount_failure(self, completion_id: str) -> None:
        """Forget a failure of this run: a gap that was requested by id and then also listed."""
        if self.failures.pop(completion_id, None) is None:
            return
        self._new_failures = [f for f in self._new_failures if f.completion_id != completion_id]
        self.run.listed -= 1
        self.run.failed -= 1

    def _commit(self, flush: Flush, removed: Sequence[str] = ()) -> None:
        added, removed = list(flush.parts), list(removed)
        for partition in flush.replaced.keys() | flush.replaced_alone.keys():
            files, paths = self._replace(partition, flush)
            added += files
            removed += paths
        for partition, images in flush.images.items():
            added = self._without_doubled_images(partition, images, added)
        self._complete_figures(added)
        state = self._lake.state
        fields = counted(state, self._job.name, self.run.run_id, flush.fields)
        first_met = [each for each in fields if each.key not in state.new_fields]
        manifest = Manifest(
            run_id=self.run.run_id,
            added=added,
            removed=removed,
            cursors=self._cursor(),
            runs=[msgspec.structs.replace(self.run)],
            failures=self._new_failures,
            resolved=self._resolved,
            new_fields=fields,
        )
        self._first_met |= dict.fromkeys(each.key for each in first_met)
        self._lake.commit(manifest)
        self._new_failures, self._resolved = [], []
        warn_of(first_met)
        for partition, images in flush.images.items():
            self._images.of(partition).update(images)
        self._observer.committed(manifest)

    def _replace(self, partition: Partition, flush: Flush) -> tuple[list[PartFile], list[str]]:
        """Write the earlier versions into the history, and the files of a partition without them.

        Returns the files written and the paths to remove.
        """
        whole = flush.replaced.get(partition, {}).keys()
        replaced = whole | flush.replaced_alone.get(partition, set())
        rows: dict[tuple[str, Partition], Columns] = {}
        history = self._lake.superseded(partition, replaced)
        if history is not None:
            rows[HISTORY, partition] = history
        messages = self._lake.lost_messages(partition, flush.lost.get(partition, {}))
        if messages is not None:
            rows[MESSAGE_HISTORY, partition] = messages
        added, removed = self._lake.write_parts(rows) if rows else [], []
        for gone, tables in ((replaced, (COMPLETIONS,)), (whole, (MESSAGES, CONTENT_PARTS))):
            files, paths = self._lake.without_completions(partition, gone, tables)
            added += files
            removed += paths
        return added, removed

    def _without_doubled_images(
        self, partition: Partition, images: set[str], added: list[PartFile]
    ) -> list[PartFile]:
        """Drop images that another batch of this run committed in the meantime."""
        doubled = images & self._images.of(partition)
        if not doubled:
            return added
        files = [f for f in added if f.table == IMAGES and f.partition == partition]
        rewritten, replaced = self._lake.without_images(files, doubled)
        return [f for f in added if f.path not in set(replaced)] + rewritten

    def _complete_figures(self, added: list[PartFile]) -> None:
        run, requests = self.run, self._api.figures + self._elsewhere
        run.requests = requests.requests
        run.retries = requests.retries
        run.rate_limited = requests.rate_limited
        run.files_added += len(added)
        run.bytes_added += sum(file.bytes for file in added)
        run.seconds = round(time.monotonic() - self._started, 3)

    def _cursor(self) -> dict[str, Cursor]:
        last = self._discovery.prefix.last
        if last is None or self._is_broken or not self._discovery.ascending:
            return {}
        old = self._lake.state.cursors.get(self._job.name)
        # A list begins before the cursor, by the lookback. So until it is past the cursor, the
        # cursor stays. It never goes back, except from a time in the future.
        if old is None or old.selection != self._job.selection:
            old = Cursor("", 0)
        if last[1] < old.created <= time.time() + CLOCK_SLACK_S:
            return {}
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
