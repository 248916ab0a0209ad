"""What a process shares during a backup: the event loop, the API clients and the lake.

Prefect runs the batches of a run as tasks in threads of the flow's process, or in other processes,
here or on other machines. In the flow's own process they find the run's runtime by its id, and so
share loop and pace; another process creates its own, with its share of the pace.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from chatlake import failpoints
from chatlake.api.client import ApiClient
from chatlake.backup.export import Item
from chatlake.backup.items import Flush, SourceJob
from chatlake.backup.ports import CompletionApi, Observer, RequestFigures, SilentObserver
from chatlake.backup.run import export_apart
from chatlake.bootstrap.loop import LoopThread
from chatlake.bootstrap.sources import new_client, redaction_of
from chatlake.bootstrap.sparing_memory import sparing_memory
from chatlake.config import Settings
from chatlake.errors import LakeNotFoundError
from chatlake.lake.lake import Lake

LISTING_SHARE: Final = 0.05
"""How much of a source's pace the run keeps for its lists while others fetch: a page of 100
completions is one request, and each of them is at least one more."""
_KEPT_RUNTIMES = 4  # of a worker that serves one run after the other
_RUNTIMES: dict[str, Runtime] = {}
_RUNTIMES_LOCK = threading.Lock()


class Runtime:
    """Loop, clients and lake of one run in this process.

    `processes`: among how many the batches of the run are spread; 0 if this process is the run's
    own. It then counts its requests itself, and has the whole pace unless other processes fetch
    too.
    """

    def __init__(
        self, settings: Settings, lake: Lake, observer: Observer, *, processes: int = 0
    ) -> None:
        self.settings = settings
        self.lake = lake
        self.loop = LoopThread()
        self._observer = observer
        self._processes = processes
        self._batches = 0
        self._reported: dict[str, RequestFigures] = {}
        self.users = 0  # threads of this process that export for the run
        self._clients: dict[str, ApiClient] = {}

    @asynccontextmanager
    async def open_api(self, job: SourceJob) -> AsyncIterator[CompletionApi]:
        """Open the API of a job's source; it stays open until `close`. On the loop only."""
        if job.name not in self._clients:
            source = self.settings.source(job.name)
            redaction = redaction_of(self.settings, source)
            client = new_client(source, self._observer, redaction=redaction)
            client.use_share(self._share())
            self._clients[job.name] = client
        yield self._clients[job.name]

    @contextlib.contextmanager
    def batch_under_way(self) -> Iterator[None]:
        """Count one more batch inside the block when the pace is divided. On the loop only."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._batches += more
        for client in self._clients.values():
            client.use_share(self._share())

    def _share(self) -> float:
        """Return this process's share of a source's pace; those of all processes are at most 1."""
        if self._processes == 0:
            return LISTING_SHARE if self._batches else 1.0
        return (1 - LISTING_SHARE) * min(1.0, max(1, self._batches) / self._processes)

    async def export(
        self,
        job: SourceJob,
        run_id: str,
        items: Sequence[Item],
        collect: Callable[[Flush], None],
    ) -> None:
        """Export a batch; `collect` gets durable part files and outcomes for the run to commit."""
        async with self.open_api(job) as api:

            async def take(flush: Flush) -> None:
                # Batches share the client, so each of its requests goes into one flush only.
                if self._processes:
                    told = self._reported.get(job.name, RequestFigures())
                    flush.requests = api.figures - told
                    self._reported[job.name] = api.figures + RequestFigures()
                collect(flush)

            await export_apart(job, api, self.lake, items, take, run_id=run_id)

    def close(self) -> None:
        """Close clients and loop."""
        for client in self._clients.values():
            self.loop.run(client.aclose())
        self.loop.close()


def share_runtime(run_id: str, runtime: Runtime) -> None:
    """Let batches of this run in this process find its runtime."""
    with _RUNTIMES_LOCK:
        _RUNTIMES[run_id] = runtime


def forget_runtime(run_id: str) -> None:
    """End the sharing."""
    with _RUNTIMES_LOCK:
        _RUNTIMES.pop(run_id, None)


@contextlib.contextmanager
def fetching_elsewhere(run_id: str) -> Iterator[None]:
    """Leave most of the pace to other processes inside the block.

    Call it in the run's own process, on its loop.
    """
    with _RUNTIMES[run_id].batch_under_way():
        yield


def export_batch(
    settings: Settings,
    job: SourceJob,
    run_id: str,
    items: Sequence[Item],
    collect: Callable[[Flush], None],
    *,
    processes: int = 0,
) -> None:
    """Export a batch of a run, in whatever process this is.

    `settings`: used if the run itself is in another process; `collect` gets durable files, flush by
    flush, even if the export then fails; `processes`: how many processes, beside the run's own,
    share the source's pace. Raises what stopped the export: AccountError, SourceUnreachableError,
    LakeUnwritableError, LakeNotFoundError.
    """
    with _RUNTIMES_LOCK:
        runtime = _RUNTIMES.get(run_id)
    if runtime is not None and not processes:
        runtime.loop.run(runtime.export(job, run_id, items, collect))
        return
    with _worker_runtime(settings, run_id, processes) as runtime, sparing_memory():
        runtime.loop.run(_export_elsewhere(runtime, job, run_id, items, collect))


async def _export_elsewhere(
    runtime: Runtime,
    job: SourceJob,
    run_id: str,
    items: Sequence[Item],
    collect: Callable[[Flush], None],
) -> None:
    failpoints.reach("batch.started")
    with runtime.batch_under_way():
        await runtime.export(job, run_id, items, collect)
    failpoints.reach("batch.written")


@contextlib.contextmanager
def _worker_runtime(settings: Settings, run_id: str, processes: int) -> Iterator[Runtime]:
    """Give this worker's runtime of a run; the oldest idle ones of other runs are closed."""
    with _RUNTIMES_LOCK:
        runtime = _RUNTIMES.pop(run_id, None)
        if runtime is None:
            lake = _lake_of_worker(settings)
            runtime = Runtime(settings, lake, SilentObserver(), processes=max(1, processes))
        runtime.users += 1
        _RUNTIMES[run_id] = runtime
        idle = [key for key, other in _RUNTIMES.items() if not other.users]
        closed = [_RUNTIMES.pop(key) for key in idle[: max(0, len(_RUNTIMES) - _KEPT_RUNTIMES)]]
    for other in closed:
        other.close()
    try:
        yield runtime
    finally:
        with _RUNTIMES_LOCK:
            runtime.users -= 1


def _lake_of_worker(settings: Settings) -> Lake:
    try:
        return Lake.open(settings.lake_location, access=settings.access)
    except LakeNotFoundError as error:
        raise LakeNotFoundError(
            f"{error.message} on {socket.gethostname()}, where a batch should run",
            hint="Workers on other machines need a lake in a bucket, or in a folder that all "
            "machines see under the same path.",
        ) from error
