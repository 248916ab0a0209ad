"""One maintenance as a Prefect flow run: compact, verify a slice, vacuum, and the findings."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from chatlake import signals
from chatlake.backup.report import new_report
from chatlake.bootstrap.forgetting import ForgetReport, forget_expired
from chatlake.bootstrap.maintenance import compact_lake, vacuum_lake
from chatlake.bootstrap.notify import notifying
from chatlake.bootstrap.opened import open_lake
from chatlake.config import Settings
from chatlake.config.references import without_keys
from chatlake.errors import (
    ChatlakeError,
    LakeDamagedError,
    LakeLockedError,
    RunInterruptedError,
)
from chatlake.flows.configuration import flow_settings
from chatlake.flows.dead_runs import begin_run
from chatlake.flows.defaults import hear_engine
from chatlake.flows.shown.artifacts import size
from chatlake.flows.shown.maintenance_report import (
    Maintenance,
    leave_maintenance,
    leave_maintenance_error,
    leave_maintenance_skipped,
)
from chatlake.flows.states import failed_state, skipped_state
from chatlake.model.counts import count
from chatlake.model.outside_text import one_line
from chatlake.verify.run import Subset, storage_of, verify_storage

logger = logging.getLogger("chatlake.flows")

SLICES = 4
"""Weekly runs until every file was read; new and damaged files are read in any case."""
OLDER_THAN = timedelta(days=7)
_FILES_NAMED = 10


def maintain_in_flow(config: str | None) -> State[None]:
    """Maintain the lake of a configuration, inside a flow run; returns the run's state.

    Every state but Completed has a ChatlakeError as its data: it names the exit code. So does
    Completed under the name Skipped, where another run is writing to the lake.
    """
    hear_engine()
    try:
        settings = flow_settings(config)
        begin_run(settings)
        report = new_report(settings.lake_location)
        with notifying(settings, report, command="maintenance"):
            with signals.raising_stops():
                done = _maintain(settings, slice_of(datetime.now(UTC).date()))
            _require_soundness(done)
    except _FoundDamageError as damage:
        leave_maintenance(damage.done)
        return failed_state(damage)
    except RunInterruptedError as stopped:
        leave_maintenance_error(stopped)
        return Cancelled(message=f"stopped by a signal. {stopped.hint}", data=stopped)
    except LakeLockedError as error:
        leave_maintenance_skipped(error)
        return skipped_state(settings, error)
    except ChatlakeError as error:
        leave_maintenance_error(error)
        return failed_state(error)
    except Exception as error:
        text = without_keys(one_line(f"{type(error).__name__}: {error}"))
        leave_maintenance_error(ChatlakeError(text))
        raise
    leave_maintenance(done)
    return _completed(done)


class _FoundDamageError(LakeDamagedError):
    """The lake is damaged. `done`: what the maintenance did nevertheless."""

    def __init__(self, message: str, done: Maintenance) -> None:
        super().__init__(message)
        self.done = done


def slice_of(today: date) -> Subset:
    """Return the slice to read on a day: weeks take turns."""
    return Subset(today.toordinal() // 7 % SLICES + 1, SLICES)


def _maintain(settings: Settings, part: Subset) -> Maintenance:
    done = Maintenance(settings.lake_location)
    # A lake that is too damaged to be opened can still be verified.
    storage = storage_of(settings.lake_location, settings.access)
    try:
        done.expired = _expired(settings)
        done.compacted = compact_lake(open_lake(settings))
        done.damaged += done.compacted.damaged
    except LakeDamagedError as error:
        done.damaged.append(error.message)
    else:
        merged = count(done.compacted.merged, "small file")
        logger.info("merged %s into %d", merged, done.compacted.added)
    done.verified = verify_storage(storage, subset=part)
    logger.info(
        "read %d of %s again (slice %s): %s",
        done.verified.files, count(done.verified.listed_files, "file"), part,
        count(len(done.verified.findings), "problem"),
    )  # fmt: skip
    for finding in done.verified.findings:
        logger.error("%s: %s", finding.path, finding.problem)
    if done.damaged or not done.verified.is_sound:
        logger.warning("nothing was removed: the unlisted files may be needed to repair the lake")
        return done
    done.removed, done.unlisted = vacuum_lake(open_lake(settings), OLDER_THAN)
    logger.info("removed %s, not listed for 7 days", count(len(done.removed), "file"))
    return done


def _expired(settings: Settings) -> ForgetReport | None:
    """Erase what is older than `keep`, if that is set."""
    if settings.keep is None:
        return None
    report = forget_expired(open_lake(settings), settings.keep)
    if report is not None:
        logger.info(
            "erased, because older than keep: %s; receipt: %s",
            count(report.receipt.completions, "completion"), report.path,
        )  # fmt: skip
    return report


def _require_soundness(done: Maintenance) -> None:
    findings = [] if done.verified is None else done.verified.findings
    if not findings and not done.damaged:
        return
    problems = [f"{finding.path}: {finding.problem}" for finding in findings] or done.damaged
    more = len(problems) - _FILES_NAMED
    named = "; ".join(problems[:_FILES_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
    raise _FoundDamageError(f"{done.lake}: {named}", done)


def _completed(done: Maintenance) -> State[None]:
    assert done.compacted is not None  # noqa: S101 - else there was damage
    assert done.verified is not None  # noqa: S101
    expired = (
        ""
        if done.expired is None
        else f"{count(done.expired.receipt.completions, 'completion')} older than keep erased; "
    )
    return Completed(
        message=expired
        + f"{count(done.compacted.merged, 'small file')} merged into {done.compacted.added:,}; "
        f"{done.verified.files:,} of {count(done.verified.listed_files, 'file')} read again, "
        "no damage; "
        f"{count(len(done.removed or ()), 'old file')} removed "
        f"({size(sum(file.size for file in done.removed or ()))})"
    )
