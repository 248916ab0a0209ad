"""When an incremental run has to become a full sweep."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from chatlake.backup.items import SourceJob
from chatlake.model.manifest import LakeState, parse_time

_ENDED_WELL = ("complete", "incomplete")


def with_due_sweep(job: SourceJob, state: LakeState) -> SourceJob:
    """Return the job as a full sweep where its last one is `full_sweep_every` ago, else as it is.

    The first run of a source lists everything anyway, so the time counts from there.
    """
    if job.mode != "incremental" or job.full_sweep_every is None:
        return job
    runs = [run for run in state.runs.values() if run.source == job.name]
    starts = [run.started_at for run in runs if run.mode == "full" and run.status in _ENDED_WELL]
    since = max(starts, default=min((run.started_at for run in runs), default=None))
    if since is None:
        return job
    age = (datetime.now(UTC) - parse_time(since)).total_seconds()
    return dataclasses.replace(job, mode="full") if age >= job.full_sweep_every else job
