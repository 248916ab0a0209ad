"""Exporting in batches: maps the engine's work to tasks, each of which costs something.

Items are gathered into batches, a bounded number of batches runs at once, and each is committed as
soon as it has ended. This module knows nothing about Prefect: `Submit` starts a batch, wherever it
runs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from chatlake.backup.export import Item, Take
from chatlake.backup.items import SourceJob
from chatlake.backup.uninterrupted import to_its_end
from chatlake.config import Settings
from chatlake.errors import ChatlakeError
from chatlake.flows.batches.batch import (
    FIRST_BATCH,
    Batch,
    BatchError,
    BatchItems,
    BatchResult,
    BatchSizes,
    WorkerLostError,
    is_fetched,
    settings_for,
)
from chatlake.flows.batches.lost_batch import flush_of_lost

logger = logging.getLogger("chatlake.flows")

FILL_SECONDS = 3.0  # a batch that fills slowly starts after this time
MOST_LOST_IN_A_ROW = 3  # batches; more means that the cause is not a single completion
LOOKED_AT_PER_FETCHED = 20  # an item that is stored unchanged costs a twentieth

Submit = Callable[[Batch], Awaitable[BatchResult]]
"""Starts a batch; awaiting gives its result. Called on the event loop, which it must not block."""


class BatchedExport:
    """Exports the items of one job in batches. Made on the event loop, used once.

    `window`: how many batches are under way at once, including those that wait for a worker.
    `processes`: how many processes the batches are spread over, not counting this one.
    """

    def __init__(
        self,
        settings: Settings,
        job: SourceJob,
        run_id: str,
        submit: Submit,
        sizes: BatchSizes,
        *,
        window: int,
        processes: int = 0,
    ) -> None:
        self._settings = settings_for(job, settings)
        # A batch has its own items, so a long list of ids need not be sent with each.
        self._job = job if job.ids is None else replace(job, ids=())
        self._run_id = run_id
        self._submit = submit
        self._sizes = sizes
        self._processes = processes
        self._lost_in_a_row = 0
        self._window = asyncio.Semaphore(window)
        self._taking = asyncio.Lock()
        self._stopped = threading.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def export(self, items: AsyncIterator[Item], take: Take) -> None:
        """Export all items (`chatlake.backup.run.ExportItems`).

        The first error of `items` or of a batch ends it and is raised. Then, and on cancellation,
        the batches under way stop fetching, and what they have is still collected. A further
        cancellation does not cut that short.
        """
        feeding = asyncio.create_task(self._feed(items, take))
        try:
            ends: set[asyncio.Future[Any]] = {feeding, self._failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not self._failed.done():
                feeding.result()
                await self._settled()
        except BaseException:
            self._stopped.set()
            raise
        finally:
            feeding.cancel()
            await to_its_end(self._end(feeding))
        if self._failed.done():
            raise self._failed.result()

    async def _feed(self, items: AsyncIterator[Item], take: Take) -> None:
        queue: asyncio.Queue[Item | None] = asyncio.Queue(maxsize=2 * FIRST_BATCH)
        reading = asyncio.create_task(_read(items, queue))
        number, more = 0, True
        try:
            while more:
                batch, more = await _next_batch(queue, self._sizes)
                if batch:
                    await self._window.acquire()
                    number += 1
                    task = asyncio.create_task(self._run(number, batch, take))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
            await reading
        finally:
            reading.cancel()
            await _ended(reading)

    async def _run(self, number: int, items: list[Item], take: Take) -> None:
        guarded = BatchItems(items, self._stopped)
        batch = Batch(
            self._settings, self._job, self._run_id, number, guarded, processes=self._processes
        )
        try:
            try:
                result = await self._submit(batch)
            except BatchError as ended:
                await self._take(ended.result, take)
                raise ended.error from ended
            except WorkerLostError as lost:
                await self._take_lost(number, items, str(lost), take)
                return
            self._lost_in_a_row = 0
            self._sizes.measured(sum(map(is_fetched, items)), result.seconds)
            await self._take(result, take)
        except Exception as error:  # noqa: BLE001 - `export` raises it
            self._stopped.set()
            if not self._failed.done():
                self._failed.set_result(error)
        finally:
            self._window.release()

    async def _take(self, result: BatchResult, take: Take) -> None:
        async with self._taking:
            for flush in result.flushes:
                await take(flush)

    async def _take_lost(self, number: int, items: list[Item], detail: str, take: Take) -> None:
        """Record the failures of a lost batch; too many lost batches in a row end the run."""
        logger.error("%s: batch %d is lost: %s", self._job.name, number, detail)
        flush = flush_of_lost(items, self._job, self._run_id, detail)
        await self._take(BatchResult([flush]), take)
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= MOST_LOST_IN_A_ROW:
            raise ChatlakeError(
                f"{self._lost_in_a_row} batches in a row were lost with their workers: {detail}",
                hint="Check the workers' logs and memory, then run again.",
            )

    async def _end(self, feeding: asyncio.Task[None]) -> None:
        await _ended(feeding)
        await self._settled()

    async def _settled(self) -> None:
        while self._running:
            await asyncio.wait(set(self._running))


async def _read(items: AsyncIterator[Item], queue: asyncio.Queue[Item | None]) -> None:
    """Put all items into the queue, and None after the last, or before an error is raised."""
    try:
        async for item in items:
            await queue.put(item)
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)


async def _next_batch(
    queue: asyncio.Queue[Item | None], sizes: BatchSizes
) -> tuple[list[Item], bool]:
    """Return the next batch, gathered for `FILL_SECONDS` at most, and whether there are more."""
    batch: list[Item] = []
    fetched, deadline = 0, None
    while fetched < sizes.size and len(batch) < LOOKED_AT_PER_FETCHED * sizes.size:
        try:
            item = await _next(queue, deadline)
        except TimeoutError:
            break
        if item is None:
            return batch, False
        batch.append(item)
        fetched += is_fetched(item)
        deadline = deadline or time.monotonic() + FILL_SECONDS
    return batch, True


async def _next(queue: asyncio.Queue[Item | None], deadline: float | None) -> Item | None:
    """Return the next item; raises TimeoutError if there is none before `deadline`."""
    if not queue.empty():
        return queue.get_nowait()
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    return await asyncio.wait_for(queue.get(), left)


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for a task that was cancelled or is about to end; its error is reported elsewhere."""
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
