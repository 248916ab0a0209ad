"""The Prefect task that exports a batch, and the task runner that it runs on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.states import Failed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from chatlake.backup.run import Strategy
from chatlake.bootstrap.runtime import export_batch
from chatlake.config import Runner, Settings
from chatlake.errors import ChatlakeError, ConfigurationError
from chatlake.flows.batch import Batch, BatchError, BatchResult, BatchSizes
from chatlake.flows.batches import BatchedExport
from chatlake.flows.defaults import hear_engine

_RETRY_SECONDS = 2.0


def _has_crashed(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Say whether another try may help: an error that chatlake names was tried enough."""
    return not isinstance(state.data, BatchError)


@task(
    name="export",
    task_run_name="{source} batch {number} ({count} completions)",
    tags={"chatlake"},
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
    count: int,  # noqa: ARG001
) -> BatchResult | State[BatchResult]:
    """Export a batch; returns descriptions of the files written, for the flow to commit."""
    hear_engine()
    started = time.monotonic()
    result = BatchResult()
    try:
        export_batch(
            batch.config,
            batch.job,
            batch.run_id,
            batch.items,
            result.flushes.append,
            processes=batch.processes,
        )
    except ChatlakeError as error:
        # Returned, not raised: it is the run's end and no bug, a traceback would say nothing.
        return Failed(message=f"{error.kind}: {error.message}", data=BatchError(error, result))
    result.seconds = time.monotonic() - started
    return result


def new_task_runner(runner: Runner) -> TaskRunner[Any]:
    """Return the Prefect task runner of the configuration, not started."""
    if runner.kind == "threads":
        return ThreadPoolTaskRunner(max_workers=runner.workers)
    if runner.kind == "processes":
        return ProcessPoolTaskRunner(max_workers=runner.workers)
    raise ConfigurationError(
        f"runner.kind: {runner.kind} needs chatlake[{runner.kind}], which this version lacks",
        hint="Set runner.kind to threads or processes.",
    )


def prefect_strategy(settings: Settings, task_runner: TaskRunner[Any]) -> Strategy:
    """Return the strategy that maps batches to tasks on `task_runner`, which is started."""
    runner = settings.runner

    async def submit(batch: Batch) -> BatchResult:
        parameters = {
            "batch": batch,
            "source": batch.job.name,
            "number": batch.number,
            "count": len(batch.items),
        }
        future = task_runner.submit(export, parameters)
        await _done(future)
        try:
            return await asyncio.to_thread(future.result)
        except BatchError:
            raise
        except Exception as error:
            raise ChatlakeError(
                f"batch {batch.number} of {batch.job.name} crashed: {error!r}",
                hint="The log of its task in Prefect has the traceback.",
            ) from error

    def strategy(job: Any, run_id: str) -> Any:
        cap = settings.source(job.name).pace.requests_per_minute
        return BatchedExport(
            str(settings.path),
            job,
            run_id,
            submit,
            BatchSizes(runner.batch_size, None if cap is None else cap / 60 / runner.workers),
            workers=runner.workers,
            processes=runner.workers if runner.kind == "processes" else 1,
        ).export

    return strategy


async def _done(future: PrefectFuture[Any]) -> None:
    """Wait for a future without a thread of its own: the loop's threads write and commit."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_future: PrefectFuture[Any]) -> None:
        loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()
