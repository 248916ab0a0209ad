"""Where a run's batches are exported: Prefect's task runners, and what their errors mean.

Workers in other processes report their tasks to the run's Prefect server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from typing import Any, Final, Self

from prefect.client.orchestration import get_client
from prefect.context import TagsContext
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from chatlake import __version__
from chatlake.bootstrap.runners import no_lasting_server, require_extra
from chatlake.config import Runner
from chatlake.errors import ChatlakeError, ConfigurationError
from chatlake.flows.batches.batch import Batch, BatchError, BatchResult, WorkerLostError
from chatlake.flows.leaving import bound_the_end
from chatlake.model.counts import count

logger = logging.getLogger("chatlake.flows")

LOOK_SECONDS: Final = 30.0  # between checks that some worker is still alive
PATIENCE_S: Final = 600.0  # for a cluster without workers: some clusters grow when there is work
_TRIES: Final = 3  # per batch in processes of this machine; Dask and Ray have such a bound too


class Workers:
    """A Prefect task runner of the configuration; as context manager it is started and stopped.

    `window`: how many batches should be under way. `processes`: among how many processes the pace
    is divided; 0 if batches run in this one.
    """

    lost: tuple[type[BaseException], ...] = ()
    """What a future raises when the worker of its batch died."""
    task_runner: TaskRunner[Any]
    """Available from the start."""
    tries = 1
    """How often to submit a batch whose worker dies."""

    def __init__(self, runner: Runner, new: Callable[[], TaskRunner[Any]]) -> None:
        self.runner = runner
        self.window = 2 * runner.workers  # twice as many, so that no worker has to wait
        self.processes = 0
        self._new = new
        self._changing = threading.Lock()
        self.threads = ThreadPoolExecutor(self.window, thread_name_prefix="chatlake-batch")
        """Where `run` may wait, because the event loop's own threads write and commit."""

    def __enter__(self) -> Self:
        self.task_runner = self._new()
        self.task_runner.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.threads.shutdown(wait=False)
        self.task_runner.__exit__(*exception)

    def run(self, export: Task[..., Any], batch: Batch) -> BatchResult:
        """Run a batch to its end. Blocks; several threads may call it at once.

        The task does not get the flow run's tags: for each of them Prefect would request a slot
        from its server and return it. BatchError: the batch ended early. WorkerLostError: no worker
        survived it. ChatlakeError: the task failed in an unforeseen way, or no worker is left.
        """
        parameters = {
            "batch": batch,
            "source": batch.job.name,
            "number": batch.number,
            "size": count(len(batch.items), "completion"),
        }
        lost: list[BaseException] = []
        while len(lost) < self.tries:
            task_runner = self.task_runner
            try:
                with TagsContext(current_tags=set()):
                    future = task_runner.submit(export, parameters)
                return self._result(future)
            except (BatchError, ChatlakeError):
                raise
            except self.lost as error:
                lost.append(error)
                bound_the_end()
                logger.warning("%s: a worker died during batch %d", batch.job.name, batch.number)
                self._replace(task_runner)
            except Exception as error:
                if not self._was_replaced(task_runner):
                    raise self._unforeseen(batch, error) from error
        last = lost[-1]
        first_line = next(iter(str(last).splitlines()), "")
        raise WorkerLostError(f"the worker died: {type(last).__name__}: {first_line}") from last

    def explained(self, error: Exception) -> ChatlakeError | None:
        """Return what an error of the task runner itself means; None for an error of the batch."""
        _ = error
        return None

    def look(self) -> None:
        """Raise ChatlakeError if no worker is left to take a batch."""

    def _result(self, future: PrefectFuture[Any]) -> BatchResult:
        while True:
            begun_at = time.monotonic()
            try:
                result: BatchResult = future.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                if time.monotonic() - begun_at < LOOK_SECONDS / 2:
                    raise  # an error of the task itself
                self.look()
            else:
                return result

    def _unforeseen(self, batch: Batch, error: Exception) -> ChatlakeError:
        return self.explained(error) or ChatlakeError(
            f"batch {batch.number} of {batch.job.name} crashed: {error!r}",
            hint="The log of its task in Prefect has the traceback.",
        )

    def _was_replaced(self, task_runner: TaskRunner[Any]) -> bool:
        with self._changing:
            return self.task_runner is not task_runner

    def _replace(self, broken: TaskRunner[Any]) -> None:
        """Continue without a task runner that a worker's death has broken."""


class ThreadWorkers(Workers):
    """Threads of this process, which share its event loop and its pace."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner, lambda: ThreadPoolTaskRunner(max_workers=runner.workers))


class ProcessWorkers(Workers):
    """Processes of this machine.

    When one dies, the pool is broken and every batch under way is lost. A new pool then runs the
    batches again.
    """

    lost = (BrokenProcessPool,)
    tries = _TRIES

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner, lambda: ProcessPoolTaskRunner(max_workers=runner.workers))
        self.processes = runner.workers

    def _replace(self, broken: TaskRunner[Any]) -> None:
        with self._changing:
            if self.task_runner is broken:
                broken.__exit__(None, None, None)
                self.task_runner = self._new()
                self.task_runner.__enter__()


_CLUSTERS: Final = {
    "dask": ("chatlake.flows.batches.workers_dask", "DaskWorkers"),
    "ray": ("chatlake.flows.batches.workers_ray", "RayWorkers"),
}


def new_workers(runner: Runner) -> Workers:
    """Return the configured workers, not started. ConfigurationError if the extra is missing."""
    if runner.kind == "threads":
        return ThreadWorkers(runner)
    if runner.kind == "processes":
        return ProcessWorkers(runner)
    require_extra(runner)
    if runner.kind == "ray":
        _set_ray_defaults(runner)
    module, name = _CLUSTERS[runner.kind]
    workers: Workers = getattr(import_module(module), name)(runner)
    return workers


def _set_ray_defaults(runner: Runner) -> None:
    """Set what Ray reads when it is imported; whatever the user has set stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray does not report that it runs here
    if runner.address is None:
        # A local cluster listens on loopback only, as Ray's default is on macOS and Windows.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def no_workers(runner: Runner) -> ChatlakeError:
    """Return the error of a cluster on which nothing runs."""
    if runner.address is None:
        return ChatlakeError(f"the {runner.kind.capitalize()} cluster of this run has no workers")
    return ChatlakeError(
        f"the {runner.kind.capitalize()} cluster at {runner.address} accepted no batch within "
        f"{PATIENCE_S:.0f} s: does it have workers?",
        hint="Start workers; what was committed stays, and the next run continues.",
    )


def require_version(runner: Runner, version: str | None) -> None:
    """Raise ConfigurationError unless the workers have this version; None means no chatlake."""
    if version != __version__:
        has = "no chatlake" if version is None else f"chatlake {version}"
        raise ConfigurationError(
            f"the workers of the {runner.kind.capitalize()} cluster at {runner.address} have "
            f"{has}, this is {__version__}",
            hint=f"Install chatlake[{runner.kind}] {__version__} where the workers run.",
        )


@contextlib.contextmanager
def server_for_workers(runner: Runner) -> Iterator[None]:
    """Let workers in other processes find the run's Prefect server; inside a flow run.

    A server that was started for the run is known only to its process, so each worker would start
    another one, which takes seconds and 200 MB. ConfigurationError for a cluster at an address: its
    workers stay from one run to the next, and Prefect keeps the connections to the first server
    that they had.
    """
    if runner.kind == "threads" or PREFECT_API_URL.value():
        yield
        return
    if runner.address is not None:
        raise no_lasting_server(runner)
    with get_client(sync_client=True) as client:
        url = str(client.api_url).rstrip("/")
    with temporary_settings({PREFECT_API_URL: url}):
        yield
