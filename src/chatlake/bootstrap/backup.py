"""Runs a backup from settings: secrets, lake, lock, loop, signals, small files, catalogue."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

from chatlake import signals
from chatlake.backup.items import SourceJob
from chatlake.backup.ports import Observer
from chatlake.backup.report import BackupReport, new_report
from chatlake.backup.run import Strategy, back_up
from chatlake.backup.silence import new_silences
from chatlake.bootstrap.after_run import compact_after
from chatlake.bootstrap.known_lakes import find_lake, remember_lake
from chatlake.bootstrap.opened import open_lake
from chatlake.bootstrap.runtime import Runtime, forget_runtime, share_runtime
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.bootstrap.sparing_memory import sparing_memory
from chatlake.config import Settings
from chatlake.errors import (
    ChatlakeError,
    LakeError,
    LakeNotFoundError,
    RunInterruptedError,
)
from chatlake.lake.lake import Lake
from chatlake.lake.manifests import read_head
from chatlake.storage.memory import MemoryStorage

__all__ = ["open_lake", "run_backup"]

logger = logging.getLogger(__name__)


def run_backup(
    settings: Settings,
    jobs: Sequence[SourceJob],
    observer: Observer,
    *,
    dry_run: bool = False,
    strategy: Strategy | None = None,
    new_lake: bool = False,
) -> BackupReport:
    """Back up and return the report; `strategy`: how batches are exported, None: in this process.

    SIGINT and SIGTERM (in the main thread) end it early: what was fetched is committed, and the
    report says so. ConfigurationError, LakeLockedError and other LakeErrors are raised:
    LakeMissingError if there are signs of an earlier lake, unless `new_lake` is set. The targets of
    `notify` learn how it ended.
    """
    report = new_report(settings.lake_location, dry_run=dry_run)
    with _telling(settings, jobs, report):
        _run(settings, jobs, observer, report, strategy, new_lake=new_lake)
    return report


def _run(
    settings: Settings,
    jobs: Sequence[SourceJob],
    observer: Observer,
    report: BackupReport,
    strategy: Strategy | None,
    *,
    new_lake: bool,
) -> None:
    dry_run = report.dry_run
    settings.check_secrets(load_prefect_secret, sources=[job.name for job in jobs])
    found = _opened(settings) if new_lake else find_lake(settings)
    report.new_lake = found is None or not found.state.number
    lake = found or _begun(settings, dry_run=dry_run)
    if report.new_lake and not dry_run:
        logger.info("created a new lake at %s", lake.location)
    lock = contextlib.nullcontext() if dry_run else lake.lock(report.run_id)
    # The lock is released inside, so that a signal which interrupts the last catalogue is reported
    # as an early end of the run, too.
    with _interruptible(report), lock, sparing_memory():
        listed, before = frozenset(lake.state.files), dict(lake.state.runs)
        _tell_start(settings, jobs, report)
        runtime = Runtime(settings, lake, observer)
        share_runtime(report.run_id, runtime)
        try:
            runtime.loop.run(
                back_up(jobs, runtime.open_api, lake, observer, report=report, strategy=strategy)
            )
        finally:
            forget_runtime(report.run_id)
            runtime.close()
            if not dry_run and lake.state.number:
                remember_lake(settings, lake.state.number)
        if not dry_run:
            compact_after(lake, report, listed)
            now = [each.run for each in report.sources]
            report.silences = new_silences(settings, lake.state, before.values(), now)
        _tell_head(lake, report)


def _telling(
    settings: Settings, jobs: Sequence[SourceJob], report: BackupReport
) -> contextlib.AbstractContextManager[None]:
    """Tell the targets of `notify`, if there are any, how the block ends."""
    if not settings.notify:
        return contextlib.nullcontext()
    from chatlake.bootstrap.notify import is_whole, notifying  # noqa: PLC0415 - often not needed

    return notifying(settings, report, whole=is_whole(settings, jobs))


def _tell_start(settings: Settings, jobs: Sequence[SourceJob], report: BackupReport) -> None:
    if settings.notify:
        from chatlake.bootstrap.notify import is_whole, tell_start  # noqa: PLC0415 - as above

        tell_start(settings, report, whole=is_whole(settings, jobs))


def _tell_head(lake: Lake, report: BackupReport) -> None:
    """Note in the report which commit the lake now ends with."""
    with contextlib.suppress(LakeError):
        if head := read_head(lake.storage, lake.state.number):
            report.commit, report.fingerprint = head.number, head.fingerprint


def _begun(settings: Settings, *, dry_run: bool) -> Lake:
    """Create a lake; for a dry run, an empty one in memory."""
    return Lake(MemoryStorage()) if dry_run else open_lake(settings, create=True)


def _opened(settings: Settings) -> Lake | None:
    try:
        return open_lake(settings)
    except LakeNotFoundError:
        return None


@contextlib.contextmanager
def _interruptible(report: BackupReport) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into an early end that the report names.

    Outside the main thread signals are not ours to handle (`signals.raising_stops`).
    """

    def note(number: int) -> None:
        report.stopped_by = number

    try:
        with signals.raising_stops(note):
            yield
    except Exception as error:
        # DuckDB turns what the handler raises during a query into its own error.
        is_stop = isinstance(error, RunInterruptedError) or not isinstance(error, ChatlakeError)
        if report.stopped_by is None or not is_stop:
            raise
