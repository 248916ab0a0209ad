"""Exporting: fetch the messages of what was found, flatten them, and write part files.

Memory stays bounded, whatever the size of the source:

1. Many completions are fetched at once, and their rows are collected by day.
2. Days are written when all together hold `FLUSH_BYTES`, or when the oldest row is `FLUSH_SECONDS`
   old; `days` chooses which. Meanwhile more rows are collected, at most as many again.
3. When these are as many, `_room` makes the fetching of further completions wait.
4. A large response needs much memory, too. So the client reads only its first 256 KiB, and then
   awaits `room`, which returns when there is room for more rows and none are being written.
5. The client does not read the connection in the meantime, so the server has to stop sending.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from chatlake.backup.blame import SOURCE_ERRORS, Blame
from chatlake.backup.collected import Collected
from chatlake.backup.days import Days
from chatlake.backup.fetching import MessageSource, get_completion, inputs_expected
from chatlake.backup.first_error import first_error
from chatlake.backup.items import Asked, Flush, Listed, SourceJob
from chatlake.backup.kept_messages import keep_messages
from chatlake.backup.known import KnownImages
from chatlake.backup.lake_port import LakeStore
from chatlake.backup.ports import CompletionApi
from chatlake.backup.rows import RowBuffer
from chatlake.backup.suspects import Suspects
from chatlake.backup.uninterrupted import to_its_end
from chatlake.errors import ChatlakeError, CompletionNotFoundError
from chatlake.model.partitions import Partition

FLUSH_BYTES = 24 * 1024 * 1024
FLUSH_SECONDS = 10.0  # the promise is 15, writing and committing included
Item = Asked | Listed
Examine = Callable[..., Listed | None]
Take = Callable[[Flush], Awaitable[None]]


class Exporter:
    """Exports completions of one job. One instance serves one `export` call.

    `gaps`: whether these are open gaps, each of which may fail on its own.
    """

    def __init__(
        self,
        job: SourceJob,
        api: CompletionApi,
        lake: LakeStore,
        images: KnownImages,
        *,
        run_id: str,
        examine: Examine,
        gaps: bool = False,
    ) -> None:
        self._job = job
        self._api = api
        self._lake = lake
        self._images = images
        self._examine = examine
        self._days = Days(
            max_bytes=FLUSH_BYTES, max_age_s=FLUSH_SECONDS, keep_images=job.keep_images
        )
        self._flushing = asyncio.Lock()
        self._take: Take
        self._collected = Collected(job, run_id, self._days)
        self._messages = MessageSource(api, max_bytes=job.max_body)
        self._blame = Blame(job, api, lake, gaps=gaps)
        self._suspects = Suspects(job, api, self._messages, self._blame, self._collected)

    async def export(self, items: AsyncIterator[Item], take: Take) -> None:
        """Export all items, and hand durable files to `take`, flush by flush.

        If this raises or is cancelled, everything fetched so far is still handed over.
        """
        self._take = take
        try:
            await self._run(items)
        finally:
            await self._hand_over(everything=True)

    async def _run(self, items: AsyncIterator[Item]) -> None:
        queue: asyncio.Queue[Item | None] = asyncio.Queue(maxsize=2 * self._job.concurrency)
        broken: ChatlakeError | None = None
        with first_error():
            async with asyncio.TaskGroup() as group:
                timer = group.create_task(self._hand_over_regularly())
                workers = [
                    group.create_task(self._work(queue)) for _ in range(self._job.concurrency)
                ]
                try:
                    async for item in items:
                        if isinstance(item, Listed):
                            self._days.begin(self._day(item))
                        await queue.put(item)
                except ChatlakeError as error:
                    broken = error  # what was found before is still exported
                for _ in workers:
                    await queue.put(None)
                await asyncio.gather(*workers)
                timer.cancel()
                await self._suspects.settle()
        if broken is not None:
            raise broken

    async def _work(self, queue: asyncio.Queue[Item | None]) -> None:
        while (item := await queue.get()) is not None:
            await self._export_one(item)
            await self._room()

    async def _room(self) -> None:
        """Return when the buffer is not full."""
        while self._days.is_full:
            await self._hand_over()

    async def _room_for_large(self) -> None:
        """Return when nothing is being written either: writing needs as much memory again."""
        await self._room()
        async with self._flushing:
            pass

    async def _hand_over_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._days.next_deadline_s)
            await self._hand_over()

    async def _hand_over(self, *, everything: bool = False) -> None:
        async with self._flushing:
            if taken := self._days.take(everything=everything):
                await to_its_end(self._write_and_take(*taken))

    async def _write_and_take(self, buffer: RowBuffer, flush: Flush) -> None:
        await asyncio.to_thread(self._write, buffer, flush)
        await self._take(flush)

    def _write(self, buffer: RowBuffer, flush: Flush) -> None:
        keep_messages(self._job.name, self._lake, buffer, flush, self._api.redaction)
        for partition, images in buffer.images().items():
            for sha256 in self._images.of(partition) & images.keys():
                del images[sha256]
            flush.images[partition] = set(images)
        flush.parts = self._lake.write_parts(buffer.columns())

    async def _export_one(self, item: Item) -> None:
        if isinstance(item, Listed):
            try:
                await self._export_listed(item)
            finally:
                self._days.end(self._day(item))
        else:
            await self._export_asked(item)

    def _day(self, item: Listed) -> Partition:
        return Partition.of(self._job.name, item.completion.created)

    async def _export_asked(self, item: Asked) -> None:
        try:
            completion = await get_completion(self._api, item.completion_id)
        except CompletionNotFoundError as error:
            absent = item.earlier is not None and self._job.ids is None and not item.listed
            self._collected.failed(item.completion_id, error, absent=absent)
            return
        except SOURCE_ERRORS as error:
            await self._suspects.asked_failed(item, error)
            return
        if self._job.ids is not None:
            # Without a list, only this shows that the source responds.
            self._suspects.came(completion.id)
        listed = self._examine(completion, listed=False)
        if listed is not None:
            await self._export_listed(listed)

    async def _export_listed(self, item: Listed) -> None:
        completion, previous = item.completion, item.previous
        if item.is_unchanged:
            self._collected.unchanged(item)
            return
        if self._suspects.stores_without_messages(item):
            return
        try:
            messages = await self._messages.fetch(
                completion.id,
                settle=item.sequence is not None,
                at_least=inputs_expected(completion, None if previous is None else previous.inputs),
                room=self._room_for_large,
                hasty=self._blame.is_hasty,
            )
        except SOURCE_ERRORS as error:
            await self._suspects.messages_failed(item, error)
            return
        self._suspects.came(completion.id)
        self._collected.whole(item, messages)
