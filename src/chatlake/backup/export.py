"""Exporting: fetch the messages of what was found, flatten, and write part files.

Many completions are fetched at once; rows gather in a buffer that is written when it holds
`FLUSH_BYTES` or is `FLUSH_SECONDS` old. While a buffer is written the next one fills, and when that
one is full too, fetching waits: memory is bounded whatever the size of the source.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from chatlake.backup.items import Asked, Flush, Listed, Outcome, SourceJob
from chatlake.backup.known import KnownImages
from chatlake.backup.messages import fetch_messages
from chatlake.backup.ports import CompletionApi, LakeStore, StoredVersion
from chatlake.backup.rows import RowBuffer
from chatlake.backup.uninterrupted import to_its_end
from chatlake.errors import (
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
    RetriesExhaustedError,
    SourceUnreachableError,
)
from chatlake.model.flatten import FlatCompletion, Observation, flatten
from chatlake.model.manifest import Failure, format_time
from chatlake.model.objects import read_completion
from chatlake.model.partitions import Partition

logger = logging.getLogger(__name__)

FLUSH_BYTES = 24 * 1024 * 1024
FLUSH_SECONDS = 10.0  # the promise is 15, writing and committing included
Item = Asked | Listed
Examine = Callable[..., Listed | None]
Take = Callable[[Flush], Awaitable[None]]


class Exporter:
    """Exports completions of one job. One instance serves one `export` call."""

    def __init__(
        self,
        job: SourceJob,
        api: CompletionApi,
        lake: LakeStore,
        images: KnownImages,
        *,
        run_id: str,
        examine: Examine,
        flush_bytes: int = FLUSH_BYTES,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._job = job
        self._api = api
        self._lake = lake
        self._images = images
        self._run_id = run_id
        self._examine = examine
        self._flush_bytes = flush_bytes
        self._flush_seconds = flush_seconds
        self._buffer = RowBuffer(keep_images=job.keep_images)
        self._flush = Flush()
        self._flushing = asyncio.Lock()
        self._take: Take
        self._exhausted_in_a_row = 0

    async def export(self, items: AsyncIterator[Item], take: Take) -> None:
        """Export all items; hand what is durable to `take`, flush by flush.

        When it raises, or is cancelled, everything fetched until then is still handed over.
        """
        self._take = take
        try:
            await self._run(items)
        finally:
            await self._hand_over()

    async def _run(self, items: AsyncIterator[Item]) -> None:
        queue: asyncio.Queue[Item | None] = asyncio.Queue(maxsize=2 * self._job.concurrency)
        broken: ChatlakeError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                timer = group.create_task(self._hand_over_regularly())
                workers = [
                    group.create_task(self._work(queue)) for _ in range(self._job.concurrency)
                ]
                try:
                    async for item in items:
                        await queue.put(item)
                except ChatlakeError as error:
                    broken = error  # what was found before is still exported
                for _ in workers:
                    await queue.put(None)
                await asyncio.gather(*workers)
                timer.cancel()
        except* Exception as group_error:  # noqa: BLE001 - raised again, the first of them
            raise _first(group_error) from None
        if broken is not None:
            raise broken

    async def _work(self, queue: asyncio.Queue[Item | None]) -> None:
        while (item := await queue.get()) is not None:
            await self._export_one(item)
            await self._room()

    async def _room(self) -> None:
        """Return when the buffer is not full."""
        while self._buffer.bytes >= self._flush_bytes:
            await self._hand_over()

    async def _room_for_large(self) -> None:
        """Return when nothing is being written either: that takes as much memory again."""
        await self._room()
        async with self._flushing:
            pass

    async def _hand_over_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._flush_seconds)
            await self._hand_over()

    async def _hand_over(self) -> None:
        async with self._flushing:
            if self._flush.outcomes:
                buffer, flush = self._buffer, self._flush
                self._buffer = RowBuffer(keep_images=self._job.keep_images)
                self._flush = Flush()
                await to_its_end(self._write_and_take(buffer, flush))

    async def _write_and_take(self, buffer: RowBuffer, flush: Flush) -> None:
        await asyncio.to_thread(self._write, buffer, flush)
        await self._take(flush)

    def _write(self, buffer: RowBuffer, flush: Flush) -> None:
        for partition, images in buffer.images().items():
            for sha256 in self._images.of(partition) & images.keys():
                del images[sha256]
            flush.images[partition] = set(images)
        flush.parts = self._lake.write_parts(buffer.columns())

    async def _export_one(self, item: Item) -> None:
        try:
            if isinstance(item, Listed):
                await self._export_listed(item)
            else:
                await self._export_asked(item)
        except RetriesExhaustedError as error:
            self._exhausted_in_a_row += 1
            if self._exhausted_in_a_row > self._job.concurrency:
                raise SourceUnreachableError(
                    f"the service keeps failing: {error.message}", hint=error.hint
                ) from error

    async def _export_asked(self, item: Asked) -> None:
        try:
            completion = await self._api.get_completion(read_completion, item.completion_id)
        except CompletionNotFoundError as error:
            absent = item.earlier is not None and self._job.ids is None
            self._fail(item.completion_id, error, absent=absent)
            return
        except CompletionError as error:
            self._fail(item.completion_id, error)
            _raise_if_exhausted(error)
            return
        listed = self._examine(completion, listed=False)
        if listed is not None:
            await self._export_listed(listed)

    async def _export_listed(self, item: Listed) -> None:
        completion, previous = item.completion, item.previous
        partition = Partition.of(self._job.name, completion.created)
        if item.is_unchanged:
            self._flush.outcomes.append(
                Outcome(completion.id, "unchanged", partition, item.sequence)
            )
            return
        seen = _observation(self._run_id, previous)
        try:
            messages = await fetch_messages(
                self._api,
                completion.id,
                settle=item.sequence is not None,
                room=self._room_for_large,
            )
        except CompletionError as error:
            if previous is None:
                self._store(
                    item,
                    partition,
                    flatten(completion, None, seen, keep_images=self._job.keep_images),
                )
            self._fail(completion.id, error, item=item, partition=partition)
            _raise_if_exhausted(error)
            return
        self._exhausted_in_a_row = 0
        flat = flatten(
            completion,
            messages,
            seen,
            keep_images=self._job.keep_images,
            digest=item.digest,
        )
        self._store(item, partition, flat)
        complete_before = previous is not None and previous.digest is not None
        self._flush.outcomes.append(
            Outcome(
                completion.id,
                "changed" if complete_before else "new",
                partition,
                item.sequence,
                messages=len(flat.messages),
                content_parts=len(flat.content_parts),
                images=flat.image_count,
            )
        )

    def _store(self, item: Listed, partition: Partition, flat: FlatCompletion) -> None:
        self._buffer.add(partition, flat)
        if item.previous is not None:
            self._flush.replaced.setdefault(partition, set()).add(item.completion.id)

    def _fail(
        self,
        completion_id: str,
        error: CompletionError,
        *,
        item: Listed | None = None,
        partition: Partition | None = None,
        absent: bool = False,
    ) -> None:
        logger.warning("%s: %s: %s", self._job.name, completion_id, error.message)
        now = format_time(datetime.now(UTC))
        failure = Failure(
            source=self._job.name,
            completion_id=completion_id,
            reason=error.reason,
            detail=error.message,
            request_id=error.request_id,
            created=item.completion.created if item else None,
            run_id=self._run_id,
            first_attempt_at=now,
            last_attempt_at=now,
        )
        sequence = item.sequence if item else None
        self._flush.outcomes.append(
            Outcome(completion_id, "failed", partition, sequence, failure=failure, absent=absent)
        )


def _raise_if_exhausted(error: CompletionError) -> None:
    if isinstance(error, RetriesExhaustedError):
        raise error


def _observation(run_id: str, previous: StoredVersion | None) -> Observation:
    """Return that it is seen now; later than before in any case, for clocks are put back."""
    now = time.time_ns() // 1000
    if previous is None:
        return Observation(run_id, now, now)
    return Observation(run_id, max(now, previous.observed_at + 1), previous.first_seen_at)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first single error of a group: later ones are mostly its consequences."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
