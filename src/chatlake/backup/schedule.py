"""When an incremental run has to become a full sweep."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from chatlake.backup.items import SourceJob
from chatlake.model.manifest import LakeState, parse_time

_ENDED_WELL = ("complete", "incomplete")


def with_due_sweep(job: SourceJob, state: LakeState) -> SourceJob:
    """Return the job as a full sweep where its last one is `full_sweep_every` ago, else as it is.

    The first run of a source lists everything anyway, so the time counts from there. Runs stand in
    the order of their commits: where the clock was put back since the last sweep, one is due, for
    how long ago it was nobody knows.
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
