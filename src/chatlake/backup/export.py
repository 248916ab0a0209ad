"""Exporting: fetch the messages of what was found, flatten them, and write part files.

Memory stays bounded, whatever the size of the source:

1. Many completions are fetched at once, and their rows go into one buffer.
2. The buffer is written when it holds `FLUSH_BYTES` or is `FLUSH_SECONDS` old. Meanwhile the next
   one fills, so there are at most two.
3. When the next one is full too, `_room` makes the fetching of further completions wait.
4. A large response needs as much memory as a buffer. So the client reads only its first 256 KiB,
   and then awaits `room`, which returns when the buffer is not full and none is being written.
5. The client does not read the connection meanwhile, so the server has to stop sending.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

from chatlake.backup.blame import (
    ENOUGH,
    ENOUGH_AT_THE_END,
    SOURCE_ERRORS,
    Blame,
    SourceError,
    as_own,
    forbids_all,
)
from chatlake.backup.fetching import MessageSource, get_completion, inputs_expected
from chatlake.backup.items import Asked, Flush, Listed, Outcome, OutcomeKind, SourceJob
from chatlake.backup.kept_messages import keep_messages
from chatlake.backup.known import KnownImages
from chatlake.backup.ports import CompletionApi, LakeStore, StoredVersion
from chatlake.backup.rows import RowBuffer
from chatlake.backup.uninterrupted import to_its_end
from chatlake.errors import (
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
)
from chatlake.model.flatten import FlatCompletion, Observation, flatten
from chatlake.model.manifest import Failure, format_time
from chatlake.model.objects import read_completion_page
from chatlake.model.outside_text import one_line, request_id
from chatlake.model.partitions import Partition

logger = logging.getLogger(__name__)
failures_logger = logging.getLogger("chatlake.backup.failures")
"""One line for each failure: the command leaves them out, its report names each."""

FLUSH_BYTES = 24 * 1024 * 1024
FLUSH_SECONDS = 10.0  # the promise is 15, writing and committing included
ASKED_ALL_THE_SAME = 50  # of a source without messages, each so manieth completion's are asked for
UNASKED_KEPT = 100_000  # 15 MB; what is older is fetched by the next full sweep
Item = Asked | Listed
Examine = Callable[..., Listed | None]
Take = Callable[[Flush], Awaitable[None]]


class Unasked(NamedTuple):
    """A completion stored without messages, because the run took the source to have none."""

    completion_id: str
    created: int
    kind: OutcomeKind


class Suspect(NamedTuple):
    """A completion whose error may turn out to be the whole source's."""

    item: Item
    error: SourceError


class Exporter:
    """Exports completions of one job. One instance serves one `export` call.

    `gaps`: whether these are open gaps, each of which may fail for itself.
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
        flush_bytes: int = FLUSH_BYTES,
        flush_seconds: float = FLUSH_SECONDS,
        gaps: bool = False,
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
        self._messages = MessageSource(api, max_bytes=job.max_body)
        self._blame = Blame(job, api, lake, gaps=gaps)
        self._suspects: list[Suspect] = []
        self._has_no_messages = False
        self._no_messages: CompletionError | None = None  # why it was taken to have none
        self._unasked: deque[Unasked] = deque(maxlen=UNASKED_KEPT)
        self._concluding = asyncio.Lock()
        self._left_out = 0

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
                await self._settle_suspects()
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
        keep_messages(self._job.name, self._lake, buffer, flush)
        for partition, images in buffer.images().items():
            for sha256 in self._images.of(partition) & images.keys():
                del images[sha256]
            flush.images[partition] = set(images)
        flush.parts = self._lake.write_parts(buffer.columns())

    async def _export_one(self, item: Item) -> None:
        if isinstance(item, Listed):
            await self._export_listed(item)
        else:
            await self._export_asked(item)

    async def _export_asked(self, item: Asked) -> None:
        try:
            completion = await get_completion(self._api, item.completion_id)
        except SOURCE_ERRORS as error:
            if isinstance(error, CompletionNotFoundError):
                absent = item.earlier is not None and self._job.ids is None and not item.listed
                self._fail(item.completion_id, error, absent=absent)
            elif await self._blame.may_be_of_all(error, listed=False):
                await self._blame.of(error)
                self._suspects.append(Suspect(item, error))
            else:
                self._fail(item.completion_id, await self._blame.of(error))
            return
        if self._job.ids is not None:
            self._came(completion.id)  # without a list, this is what shows that the source answers
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
        if self._is_without_messages(item):
            self._store_without_messages(item)
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
            await self._messages_failed(item, error)
            return
        self._came(completion.id)
        flat = flatten(
            completion,
            messages,
            _observation(self._run_id, previous),
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

    async def _messages_failed(self, item: Listed, error: SourceError) -> None:
        may_be_of_all = await self._blame.may_be_of_all(error, listed=item.sequence is not None)
        own = await self._blame.of(error)
        if not may_be_of_all:
            self._fail_listed(item, own)
            return
        self._suspects.append(Suspect(item, error))
        if self._has_no_messages or (self._job.ids is None and len(self._suspects) >= ENOUGH):
            await self._conclude()

    def _fail_listed(self, item: Listed, error: CompletionError) -> None:
        """Keep what is known of a completion whose messages are missing, and name it.

        One that was whole and has changed is stored as it is now; its stored messages stay.
        """
        partition = Partition.of(self._job.name, item.completion.created)
        if item.previous is None or item.previous.digest is not None:
            self._flush.unfetched.setdefault(partition, set()).add(item.completion.id)
            self._store_bare(item, partition)
        self._fail(item.completion.id, error, item=item, partition=partition)

    def _store_bare(self, item: Listed, partition: Partition) -> None:
        seen = _observation(self._run_id, item.previous)
        flat = flatten(item.completion, None, seen, keep_images=self._job.keep_images)
        self._store(item, partition, flat)

    # A source without messages

    def _is_without_messages(self, item: Listed) -> bool:
        """Whether there is no use in asking; now and then it is asked all the same."""
        if not self._has_no_messages or item.sequence is None:
            return False
        self._left_out += 1
        return self._left_out % ASKED_ALL_THE_SAME != 0

    def _store_without_messages(self, item: Listed) -> None:
        """Keep a completion and its replies: the source has no messages of any."""
        partition = Partition.of(self._job.name, item.completion.created)
        self._store_bare(item, partition)
        kind: OutcomeKind = "new" if item.previous is None else "unchanged"
        self._unasked.append(Unasked(item.completion.id, item.completion.created, kind))
        self._flush.outcomes.append(Outcome(item.completion.id, kind, partition, item.sequence))

    def _came(self, completion_id: str) -> None:
        """Take note of messages that came: what failed before is those completions' own."""
        self._blame.succeeded(completion_id)
        if self._has_no_messages:
            logger.warning("%s: the service sends messages after all", self._job.name)
            self._has_no_messages = False
            self._fail_unasked()
        self._fail_suspects()

    def _fail_unasked(self) -> None:
        """Name the completions that were stored without messages, so that they are asked for."""
        while self._unasked and self._no_messages is not None:
            completion_id, created, kind = self._unasked.popleft()
            self._fail(completion_id, self._no_messages, created=created, instead_of=kind)

    def _fail_suspects(self) -> None:
        suspects, self._suspects = self._suspects, []
        for suspect in suspects:
            error = as_own(suspect.error)
            if isinstance(suspect.item, Listed):
                self._fail_listed(suspect.item, error)
            else:
                self._fail(suspect.item.completion_id, error)

    async def _conclude(self) -> None:
        """Decide what the errors of all mean, now that there are enough of them.

        They stand at one end of the list. The newest completion, at the other end, is asked first:
        if its messages come, the errors are the completions' own.
        """
        async with self._concluding:
            if not (self._has_no_messages or self._blame.has_succeeded):
                newest = await self._newest_with_messages()
                if newest is not None:
                    self._came(newest)
            if self._blame.has_succeeded:
                self._fail_suspects()  # errors that were under way when messages came
            elif self._suspects:
                self._take_for_all()

    async def _newest_with_messages(self) -> str | None:
        """Return the id of the newest completion if its messages come, else None."""
        try:
            page = await self._api.list_completions(
                read_completion_page,
                after=None,
                limit=1,
                order="desc",
                model=self._job.model,
                metadata=self._job.metadata,
            )
            newest = page.items[0].id if page.items else None
            if newest and await self._messages.fetch(newest, settle=False, hasty=True):
                return newest
        except SOURCE_ERRORS:
            pass
        return None

    def _take_for_all(self) -> None:
        suspects, self._suspects = self._suspects, []
        error = suspects[0].error
        if forbids_all(error):
            raise error
        if not self._has_no_messages:
            logger.warning(
                "%s: the service returns no messages for any completion (%s). Completions and "
                "replies are kept; prompts cannot be backed up",
                self._job.name,
                error.message,
            )
        self._has_no_messages = True
        self._no_messages = as_own(error)
        for suspect in suspects:
            if isinstance(suspect.item, Listed):
                self._store_without_messages(suspect.item)

    async def _settle_suspects(self) -> None:
        """Decide about what is left when there is nothing more to come."""
        if self._job.ids is None and len(self._suspects) >= ENOUGH_AT_THE_END:
            await self._conclude()
        elif self._job.ids is not None and self._suspects and not self._blame.has_succeeded:
            raise self._suspects[0].error
        self._fail_suspects()

    def _store(self, item: Listed, partition: Partition, flat: FlatCompletion) -> None:
        self._buffer.add(partition, flat)
        if item.previous is not None:
            self._flush.replaced.setdefault(partition, {})[item.completion.id] = item.previous

    def _fail(
        self,
        completion_id: str,
        error: CompletionError,
        *,
        item: Listed | None = None,
        partition: Partition | None = None,
        absent: bool = False,
        created: int | None = None,
        instead_of: OutcomeKind | None = None,
    ) -> None:
        failures_logger.warning("%s: %s: %s", self._job.name, completion_id, error.message)
        now = format_time(datetime.now(UTC))
        failure = Failure(
            source=self._job.name,
            completion_id=completion_id,
            reason=error.reason,
            detail=one_line(error.message),
            request_id=request_id(error.request_id),
            created=item.completion.created if item else created,
            run_id=self._run_id,
            first_attempt_at=now,
            last_attempt_at=now,
        )
        sequence = item.sequence if item else None
        self._flush.outcomes.append(
            Outcome(
                completion_id,
                "failed",
                partition,
                sequence,
                failure=failure,
                absent=absent,
                instead_of=instead_of,
            )
        )


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
