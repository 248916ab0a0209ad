"""One backup as a Prefect flow run: the engine, its tasks, its artifacts, its final state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from prefect.client.schemas.objects import State

from chatlake.backup.items import SourceJob
from chatlake.backup.report import new_report
from chatlake.bootstrap.backup import run_backup
from chatlake.bootstrap.notify import notifying
from chatlake.config import Settings
from chatlake.config.references import without_keys
from chatlake.errors import (
    ChatlakeError,
    LakeLockedError,
)
from chatlake.flows.batches.tasks import prefect_strategy
from chatlake.flows.batches.workers import new_workers, server_for_workers
from chatlake.flows.configuration import flow_settings
from chatlake.flows.dead_runs import begin_run
from chatlake.flows.defaults import hear_engine
from chatlake.flows.shown.artifacts import leave_artifacts, leave_error, leave_skipped
from chatlake.flows.shown.progress_artifact import ProgressObserver
from chatlake.flows.states import failed_state, final_state, skipped_state, summary
from chatlake.model.outside_text import one_line

logger = logging.getLogger("chatlake.flows")

ChooseJobs = Callable[[Settings], Sequence[SourceJob]]


def run_in_flow(config: str | None, choose: ChooseJobs) -> State[None]:
    """Back up what `choose` selects, inside a flow run; returns the run's state.

    Every state but Completed has a ChatlakeError as its data: it names the exit code. So does
    Completed under the name Skipped, where another run is writing to the lake.
    """
    hear_engine()
    try:
        settings = flow_settings(config)
        begin_run(settings)
        with ExitStack() as stack:
            # `run_backup` notifies by itself; errors before it are reported here.
            with notifying(settings, new_report(settings.lake_location)):
                jobs = choose(settings)
                stack.enter_context(server_for_workers(settings.runner))
                workers = stack.enter_context(new_workers(settings.runner))
            strategy = prefect_strategy(settings, workers)
            with ProgressObserver(len(jobs)) as observer:
                try:
                    report = run_backup(settings, jobs, observer, strategy=strategy)
                except LakeLockedError as error:
                    if observer.has_begun:  # its lock was taken over: that is a failure
                        raise
                    leave_skipped(error)
                    return skipped_state(settings, error)
                if report.status in ("complete", "incomplete"):
                    observer.ended(f"{report.status}: {summary(report)}")
    except ChatlakeError as error:
        leave_error(error)
        return failed_state(error)
    except Exception as error:
        leave_error(ChatlakeError(without_keys(one_line(f"{type(error).__name__}: {error}"))))
        raise
    leave_artifacts(report)
    return final_state(report)


def flow_run_name(sources: Sequence[str]) -> str:
    """Name a flow run by its sources and the minute of its start."""
    return f"{', '.join(sources) or 'all sources'} {datetime.now(UTC):%Y-%m-%d %H:%M}"
