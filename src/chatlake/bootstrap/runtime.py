"""What one process shares while it backs up: the event loop, the API clients, the lake.

Prefect runs the batches of a run as tasks in threads of the flow's process, or in other processes.
In the flow's own process they find the run's runtime by its id, and so share loop and pace; another
process makes one for itself, with its share of the pace.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from chatlake.api.client import ApiClient
from chatlake.backup.discovery import Discovery
from chatlake.backup.export import Exporter, Item
from chatlake.backup.items import Flush, SourceJob
from chatlake.backup.known import KnownCompletions, KnownImages
from chatlake.backup.ports import CompletionApi, Observer, RequestFigures
from chatlake.bootstrap.loop import LoopThread
from chatlake.bootstrap.observers import SilentObserver
from chatlake.bootstrap.sources import new_client
from chatlake.config import Settings, load_settings
from chatlake.lake.lake import Lake

_RUNTIMES: dict[str, Runtime] = {}
_RUNTIMES_LOCK = threading.Lock()


class Runtime:
    """Loop, clients and lake of one run in this process.

    `counts_requests`: whether the run itself counts this runtime's requests.
    """

    def __init__(
        self, settings: Settings, lake: Lake, observer: Observer, *, share: int = 1
    ) -> None:
        self.settings = settings
        self.lake = lake
        self.loop = LoopThread()
        self.counts_requests = share == 1
        self._observer = observer
        self._share = share
        self._clients: dict[str, ApiClient] = {}

    @asynccontextmanager
    async def open_api(self, job: SourceJob) -> AsyncIterator[CompletionApi]:
        """Open the API of a job's source; it stays open until `close`. On the loop only."""
        if job.name not in self._clients:
            source = self.settings.source(job.name)
            self._clients[job.name] = new_client(source, self._observer, share=self._share)
        yield self._clients[job.name]

    async def export(
        self,
        job: SourceJob,
        run_id: str,
        items: Sequence[Item],
        collect: Callable[[Flush], None],
    ) -> None:
        """Export a batch; `collect` gets durable part files and outcomes for the run to commit."""
        async with self.open_api(job) as api:
            counted = api.figures + RequestFigures()

            async def take(flush: Flush) -> None:
                nonlocal counted
                if not self.counts_requests:
                    flush.requests = api.figures - counted
                    counted = api.figures + RequestFigures()
                collect(flush)

            async def each() -> AsyncIterator[Item]:
                for item in items:
                    yield item

            known = KnownCompletions(self.lake)
            exporter = Exporter(
                job,
                api,
                self.lake,
                KnownImages(self.lake),
                run_id=run_id,
                examine=Discovery(job, api, self.lake, known).examine,
            )
            await exporter.export(each(), take)

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


def export_batch(
    config: str,
    job: SourceJob,
    run_id: str,
    items: Sequence[Item],
    collect: Callable[[Flush], None],
    *,
    processes: int = 1,
) -> None:
    """Export a batch of a run, in whatever process this is.

    `config`: the configuration file, read again where the run itself lives in another process;
    `collect` gets what is durable, flush by flush, also when the export then fails; `processes`:
    how many of them share the source's pace. Raises what stopped the export: AccountError,
    SourceUnreachableError, LakeUnwritableError.
    """
    with _RUNTIMES_LOCK:
        runtime = _RUNTIMES.get(run_id)
        if runtime is None:
            settings = load_settings(Path(config))
            lake = Lake.open(settings.lake_location, access=settings.access)
            runtime = Runtime(settings, lake, SilentObserver(), share=max(2, processes))
            _RUNTIMES[run_id] = runtime
    runtime.loop.run(runtime.export(job, run_id, items, collect))
