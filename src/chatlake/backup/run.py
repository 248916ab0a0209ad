"""One backup: each source in turn, discovered, exported and committed.

There are two ways in: `back_up` for a run, and `export_apart` for a batch of it in a worker.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import msgspec

from chatlake.backup.commit import Committer
from chatlake.backup.discovery import Discovery
from chatlake.backup.dry_run import look
from chatlake.backup.export import Exporter, Item, Take
from chatlake.backup.heal import heal
from chatlake.backup.items import Flush, SourceJob
from chatlake.backup.known import KnownCompletions, KnownImages
from chatlake.backup.lake_port import LakeStore
from chatlake.backup.ports import CompletionApi, Observer
from chatlake.backup.report import BackupReport, SourceReport
from chatlake.backup.sweep import Sweep, SweepResult, sweeps_everything, with_due_sweep
from chatlake.backup.uninterrupted import is_cancelled, to_its_end
from chatlake.errors import (
    ChatlakeError,
)
from chatlake.model.manifest import Manifest, SourceRun, format_time
from chatlake.model.outside_text import one_line

logger = logging.getLogger(__name__)

ExportItems = Callable[[AsyncIterator[Item], Take], Awaitable[None]]
OpenApi = Callable[[SourceJob], AbstractAsyncContextManager[CompletionApi]]
"""Opens the API of a source, to be closed by the context manager."""
Strategy = Callable[[SourceJob, str], ExportItems]
"""Another way to export than in this process: (job, run id) -> export of items."""


async def back_up(
    jobs: Sequence[SourceJob],
    open_api: OpenApi,
    lake: LakeStore,
    observer: Observer,
    *,
    report: BackupReport,
    strategy: Strategy | None = None,
) -> None:
    """Back up each job's source into `report`; one source's error does not stop the others.

    The caller holds the lake's lock. LakeError, and no further source, if not even the end of a
    source's run can be committed. On cancellation what was fetched is committed, and the report
    ends as interrupted.
    """
    started = time.monotonic()
    if not report.dry_run:
        await to_its_end(asyncio.to_thread(_close_killed_runs, lake, report.run_id))
    for configured in jobs:
        job = with_due_sweep(configured, lake.state)
        observer.source_started(job.name, job.mode)
        async with open_api(job) as api:
            source = _SourceBackup(job, api, lake, observer, report.run_id)
            report.sources.append(source.report)
            try:
                if report.dry_run:
                    await source.look()
                else:
                    await source.back_up(strategy)
            finally:
                report.seconds = round(time.monotonic() - started, 3)


async def export_apart(
    job: SourceJob,
    api: CompletionApi,
    lake: LakeStore,
    items: Sequence[Item],
    take: Take,
    *,
    run_id: str,
) -> None:
    """Export a batch of a run's items apart from the run, usually in a worker.

    The batch finds out by itself what the lake holds, and neither lists nor commits. `take` gets
    durable files, even if this then raises: AccountError, SourceUnreachableError, LakeError.
    """

    async def each() -> AsyncIterator[Item]:
        for item in items:
            yield item

    examine = Discovery(job, api, lake, KnownCompletions(lake, api.redaction)).examine
    exporter = Exporter(job, api, lake, KnownImages(lake), run_id=run_id, examine=examine)
    await exporter.export(each(), take)


def _close_killed_runs(lake: LakeStore, run_id: str) -> None:
    """Mark killed runs as interrupted: no other can be active while this one has the lock."""
    killed = [run for run in lake.state.runs.values() if run.status == "running"]
    if killed:
        runs = [msgspec.structs.replace(run, status="interrupted") for run in killed]
        lake.commit(Manifest(run_id=run_id, runs=runs))


class _SourceBackup:
    def __init__(
        self, job: SourceJob, api: CompletionApi, lake: LakeStore, observer: Observer, run_id: str
    ) -> None:
        now = format_time(datetime.now(UTC))
        run = SourceRun(
            run_id=run_id,
            source=job.name,
            status="running",
            mode=job.mode,
            started_at=now,
            redaction="" if api.redaction is None else api.redaction.fingerprint,
        )
        self.report = SourceReport(run)
        self._job = job
        self._api = api
        self._lake = lake
        self._observer = observer
        self._committing = asyncio.Lock()  # never two commits side by side
        self._images = KnownImages(lake)
        self._completions = KnownCompletions(lake, api.redaction)
        self._discovery = Discovery(job, api, lake, self._completions)
        self._sweep = Sweep(job, lake, run_id) if sweeps_everything(job) else None
        if self._sweep is not None:
            self._completions.on_forget(self._sweep.passed)
        self._committer = Committer(
            job,
            run,
            lake,
            discovery=self._discovery,
            api=api,
            images=self._images,
            observer=observer,
        )

    async def back_up(self, strategy: Strategy | None) -> None:
        """Export everything that discovery finds; the report says how it went."""
        self._warn_of_other_rules()
        here: ExportItems = self._export_here
        export = here if strategy is None else strategy(self._job, self.report.run.run_id)
        try:
            now = round(datetime.now(UTC).timestamp() * 1_000_000)
            await to_its_end(asyncio.to_thread(heal, self._lake, self.report.run, now))
            await self._export_gaps()
            await export(self._items(), self._take)
            await to_its_end(self._complete())
        except asyncio.CancelledError:
            await self._end("interrupted")
            raise
        except ChatlakeError as error:
            if self._has_ended:
                raise  # the end is in the ledger: what failed came after it
            self.report.error = error
            await self._end("failed")
        except Exception as error:
            self.report.error = ChatlakeError(f"unexpected error: {error!r}")
            await self._end("failed")
            raise
        if is_cancelled():
            raise asyncio.CancelledError  # an error hid it, and the next source must not begin

    def _warn_of_other_rules(self) -> None:
        """Say what a change of `redact` means for what the lake holds already."""
        run = self.report.run
        before = [r.redaction for r in self._lake.state.runs.values() if r.source == run.source]
        if before and before[-1] != run.redaction:
            logger.warning(
                "%s: `redact` has changed since the last run. %s",
                run.source,
                "New rules change nothing that the lake holds; `chatlake redact --dry-run` shows "
                "what they would find there. What a rule altered that no longer applies is stored "
                "again"
                if run.redaction
                else "Completions that were redacted are stored again, as the source sends them",
            )

    async def _take(self, flush: Flush) -> None:
        await to_its_end(self._taken(flush))

    async def _taken(self, flush: Flush) -> None:
        async with self._committing:
            if not self._has_ended:  # a straggler of a strategy: the next run fetches it again
                await self._committer.take(flush)

    async def _complete(self) -> None:
        sweep = await asyncio.to_thread(self._swept)
        self._committer.close_gaps()
        if self._discovery.too_old:
            logger.warning(
                "%s: ids left out, because they are older than `keep`: %d",
                self._job.name, len(self._discovery.too_old),
            )  # fmt: skip
        await self._end("incomplete" if self._committer.gaps else "complete", sweep)

    async def _export_gaps(self) -> None:
        exporter = self._new_exporter(gaps=True)
        await exporter.export(self._discovery.open_gaps(), self._take)

    async def _export_here(self, items: AsyncIterator[Item], take: Take) -> None:
        await self._new_exporter().export(items, take)

    def _new_exporter(self, *, gaps: bool = False) -> Exporter:
        return Exporter(
            self._job,
            self._api,
            self._lake,
            self._images,
            run_id=self.report.run.run_id,
            examine=self._discovery.examine,
            gaps=gaps,
        )

    async def look(self) -> None:
        """Count what a backup would do, without fetching messages or writing anything."""

        def counted() -> None:
            self._observer.progressed(self._job.name, self.report.run, self._fraction())

        await look(self._job, self._api, self._discovery, self.report, counted)

    async def _items(self) -> AsyncIterator[Item]:
        async for item in self._discovery.items():
            yield item
            self._observer.progressed(self._job.name, self.report.run, self._fraction())

    def _fraction(self) -> float | None:
        """How much is done, from 0 to 1: of the list by time, or of the given ids.

        None if it is unknown.
        """
        if self._job.ids is not None:
            return self.report.run.listed / max(1, len(self._job.ids))
        start, position = self._discovery.start, self._discovery.position
        end = self._job.created_before or time.time()
        if start is None or position is None or end <= start or not self._discovery.ascending:
            return None
        return min(1.0, (position - start) / (end - start))

    def _swept(self) -> SweepResult | None:
        """What a full sweep found gone.

        None if this run is not one, or its list did not show all that there is.
        """
        if self._sweep is None or self._discovery.position is None or self._discovery.gaps:
            return None
        return self._sweep.finish(self._completions)

    @property
    def _has_ended(self) -> bool:
        """Whether the ledger holds the end of this run."""
        run = self.report.run
        stored = self._lake.state.runs.get((run.run_id, run.source))
        return stored is not None and stored.status != "running"

    async def _end(self, status: str, sweep: SweepResult | None = None) -> None:
        """Commit the end of the run, once, and whatever is cancelled in the meantime."""
        await to_its_end(self._ended(status, sweep))

    async def _ended(self, status: str, sweep: SweepResult | None) -> None:
        run, error = self.report.run, self.report.error
        why = None if error is None else one_line(error.message)
        async with self._committing:
            if self._has_ended:
                return
            before = run.files_added, run.bytes_added
            try:
                await self._committer.finish(status, why, sweep)
            except BaseException:
                if not self._has_ended:
                    run.files_added, run.bytes_added = before  # another end will be tried
                raise
            finally:
                self.report.failures = list(self._committer.failures.values())
                self.report.new_fields = self._committer.new_fields
