"""The Prefect task that exports a batch, and the strategy that maps a run's batches to it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Failed
from prefect.tasks import Task

from chatlake.backup.items import SourceJob
from chatlake.backup.run import ExportItems, Strategy
from chatlake.bootstrap.runtime import export_batch, fetching_elsewhere
from chatlake.config import Settings
from chatlake.errors import ChatlakeError, LakeError
from chatlake.flows.batches.batch import Batch, BatchError, BatchResult, BatchSizes, is_fetched
from chatlake.flows.batches.gathering import BatchedExport
from chatlake.flows.batches.workers import Workers
from chatlake.flows.defaults import hear_engine
from chatlake.storage.opening import storage_at

_RETRY_SECONDS = 2.0


def _has_crashed(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Say whether another try may help: errors that chatlake raises were retried enough."""
    return not isinstance(state.data, BatchError)


@task(
    name="export",
    task_run_name="{source} batch {number} ({size})",
    cache_policy=NO_CACHE,  # the lake itself knows what is done
    persist_result=False,
    retries=1,
    retry_delay_seconds=_RETRY_SECONDS,
    retry_condition_fn=_has_crashed,
)
def export(
    batch: Batch,
    source: str,  # noqa: ARG001 - the run's name
    number: int,  # noqa: ARG001
    size: str,  # noqa: ARG001
) -> BatchResult | State[BatchResult]:
    """Export a batch; returns descriptions of the files written, for the flow to commit."""
    hear_engine()
    started = time.monotonic()
    result = BatchResult()
    try:
        export_batch(
            batch.settings,
            batch.job,
            batch.run_id,
            batch.items,
            result.flushes.append,
            processes=batch.processes,
        )
    except ChatlakeError as error:
        # Returned, not raised: it ends the run and is not a bug, so a traceback would not help.
        return Failed(message=f"{error.kind}: {error.message}", data=BatchError(error, result))
    result.seconds = time.monotonic() - started
    return result


def prefect_strategy(settings: Settings, workers: Workers) -> Strategy:
    """Return the strategy that exports batches as Prefect tasks on `workers`, already started."""
    runner = settings.runner

    def check(result: BatchResult) -> None:
        if runner.address is not None:
            require_here(settings.lake_location, result)

    async def submit(batch: Batch) -> BatchResult:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        elsewhere = workers.processes and any(map(is_fetched, batch.items))
        with fetching_elsewhere(batch.run_id) if elsewhere else contextlib.nullcontext():
            try:
                result = await loop.run_in_executor(
                    workers.threads, context.run, workers.run, export, batch
                )
            except BatchError as ended:
                check(ended.result)
                raise
            check(result)
            return result

    def strategy(job: SourceJob, run_id: str) -> ExportItems:
        cap = settings.source(job.name).pace.requests_per_minute
        return BatchedExport(
            settings,
            job,
            run_id,
            submit,
            BatchSizes(runner.batch_size, None if cap is None else cap / 60 / runner.workers),
            window=workers.window,
            processes=workers.processes,
        ).export

    return strategy


def require_here(lake: str, result: BatchResult) -> None:
    """Raise LakeError if a batch was written into another lake than this one.

    The worker's machine may have another folder of the same name.
    """
    storage = storage_at(lake)
    if storage.local_path("manifests") is None:
        return
    for flush in result.flushes:
        for part in flush.parts:
            if storage.size(part.path) != part.bytes:
                raise LakeError(
                    f"a worker wrote {part.path} to {lake} on its own machine, and not to this one",
                    hint="Workers on other machines need a lake in a bucket, or in a folder that "
                    "all machines see under the same path.",
                )
