"""How a flow run ends: the states that it reports to Prefect.

A run is Skipped, which is not a failure, if another one is writing to the lake. The lake has one
writer, and its own lock decides which run that is. The second run has nothing to do: the first one
does the work, and reports how it ends.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any, Final

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from chatlake.backup.report import BackupReport
from chatlake.config import Settings
from chatlake.errors import (
    ChatlakeError,
    CompletionError,
    LakeLockedError,
    RunInterruptedError,
    RunTerminatedError,
)
from chatlake.flows.shown.observer import counts
from chatlake.model.counts import count
from chatlake.storage.opening import storage_at

SKIPPED: Final = "Skipped"


def skipped_state(settings: Settings, error: LakeLockedError) -> State[None]:
    """Return Completed under the name Skipped; the message names the writer."""
    return Completed(name=SKIPPED, message=f"skipped: {_who(settings, error)}", data=error)


def is_skipped(state: State[Any]) -> bool:
    """Say whether a flow run ended as skipped."""
    return state.is_completed() and state.name == SKIPPED


def _who(settings: Settings, error: LakeLockedError) -> str:
    holder = None
    with contextlib.suppress(ChatlakeError, OSError):
        holder = storage_at(settings.lake_location).lock_holder()
    if holder is None:  # it has just ended
        return error.message
    who = f"process {holder.pid} on {holder.host} has been writing since {holder.started_at}"
    return f"{who}, run {holder.run_id}" if holder.run_id else who


def final_state(report: BackupReport) -> State[None]:
    """Return Completed, Cancelled, Failed, or Failed under the name Incomplete."""
    said = summary(report)
    if report.stopped_by is not None:
        kind = (
            RunTerminatedError
            if report.exit_code == RunTerminatedError.exit_code
            else RunInterruptedError
        )
        stopped = kind(f"stopped by a signal; {said}")
        return Cancelled(message=stopped.message, data=stopped)
    for source in report.sources:
        if source.error is not None:
            return failed_state(source.error, f"{source.run.source}: ")
    failed = sum(len(source.failures) for source in report.sources)
    if failed:
        listed = sum(source.run.listed for source in report.sources)
        incomplete = CompletionError(
            f"{failed:,} of {count(listed, 'completion')} could not be fetched"
        )
        reasons = Counter(each.reason for source in report.sources for each in source.failures)
        why = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())
        message = f"{incomplete.message}: {why}. {said}. The next run tries again"
        return Failed(name="Incomplete", message=message, data=incomplete)
    return Completed(message=said)


def summary(report: BackupReport) -> str:
    """Return the figures of each source in one line."""
    return "; ".join(f"{source.run.source}: {counts(source.run)}" for source in report.sources)


def failed_state(error: ChatlakeError, where: str = "") -> State[None]:
    """Return Failed with what happened, what to do, and the exit code of the command."""
    what = error.message.rstrip(".")
    text = f"{where}{error.kind}: {what}. {error.hint} (exit code {error.exit_code})"
    return Failed(message=" ".join(text.split()), data=error)
