"""Batches without Prefect: how they are gathered, committed, and ended."""

from __future__ import annotations

import asyncio
import functools
import pickle
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from chatlake.backup.export import Item
from chatlake.backup.items import Asked, Flush, Listed, Outcome, SourceJob
from chatlake.backup.lake_port import StoredVersion
from chatlake.config.load import parse_settings
from chatlake.errors import AuthenticationError, ChatlakeError, InvalidResponseError
from chatlake.flows.batches.batch import Batch, BatchItems, BatchResult, BatchSizes, WorkerLostError
from chatlake.flows.batches.gathering import BatchedExport
from chatlake.flows.batches.lost_batch import flush_of_lost
from chatlake.model.objects import read_completion

SETTINGS = parse_settings(
    """
version: 1
lake: lake
notify: https://example.com/of-this-run
sources:
  - name: openai
    base_url: https://api.example.com/v1
    api_key: ${NO_SUCH_KEY}
    select: {ids: [chatcmpl-selected]}
""",
    Path("chatlake.yaml"),
)
Work = Callable[[Batch], Awaitable[BatchResult]]


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test on its own event loop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def asked(count: int) -> AsyncIterator[Item]:
    """Yield so many items."""
    for number in range(count):
        yield Asked(f"chatcmpl-{number}")


def done(batch: Batch, seconds: float = 1.0) -> BatchResult:
    """Return the result of a batch whose items all went well."""
    outcomes = [Outcome(item.completion_id, "new") for item in batch.items if _is_asked(item)]
    return BatchResult([Flush(outcomes=outcomes)], seconds)


def _is_asked(item: Item) -> bool:
    return isinstance(item, Asked)


class Committed:
    """Collects what the flow would commit."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.nearly_all = asyncio.Event()

    async def take(self, flush: Flush) -> None:
        """Take a flush, giving way as a real commit does."""
        await asyncio.sleep(0)
        self.ids += [outcome.completion_id for outcome in flush.outcomes]
        if len(self.ids) >= 90:
            self.nearly_all.set()


def exporter(work: Work, *, workers: int = 2, size: int = 10) -> BatchedExport:
    """Return an export in batches of `size`, done by `work`."""
    sizes = BatchSizes(size)
    job = SourceJob("openai")
    return BatchedExport(SETTINGS, job, "run", work, sizes, window=2 * workers)


@on_a_loop
async def test_every_item_is_in_one_batch() -> None:
    """Whatever the sizes, each item is exported and committed exactly once."""
    committed = Committed()

    async def work(batch: Batch) -> BatchResult:
        await asyncio.sleep(0.001 * (batch.number % 3))
        return done(batch)

    await exporter(work).export(asked(1003), committed.take)

    assert sorted(committed.ids) == sorted(f"chatcmpl-{n}" for n in range(1003))


@on_a_loop
async def test_the_window_is_bounded() -> None:
    """Never more batches are under way than twice the workers."""
    under_way, most = 0, 0

    async def work(batch: Batch) -> BatchResult:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return done(batch)

    await exporter(work, workers=3).export(asked(500), Committed().take)

    assert most == 6


@on_a_loop
async def test_a_slow_batch_does_not_hold_up_the_commits_of_others() -> None:
    """A batch is committed when it has ended, whatever became of those before it."""
    committed, go_on = Committed(), asyncio.Event()

    async def work(batch: Batch) -> BatchResult:
        if batch.number == 1:
            await go_on.wait()
        return done(batch)

    task = asyncio.create_task(exporter(work).export(asked(100), committed.take))
    await committed.nearly_all.wait()
    go_on.set()
    await task

    assert len(committed.ids) == 100


@on_a_loop
async def test_an_error_of_a_batch_ends_the_export_and_keeps_the_others() -> None:
    """The error is raised as it is, and what other batches fetched is committed."""
    committed, failing = Committed(), asyncio.Event()
    fetched: set[int] = set()

    async def work(batch: Batch) -> BatchResult:
        if batch.number == 2:
            await failing.wait()
            raise AuthenticationError("the key is wrong")
        result = done(batch)
        fetched.add(batch.number)
        if fetched == {1, 3, 4}:  # with the second one, all that may be under way
            failing.set()
        await asyncio.sleep(0.02)
        return result

    async with asyncio.timeout(10):
        with pytest.raises(AuthenticationError, match="the key is wrong"):
            await exporter(work).export(asked(10_000), committed.take)

    assert sorted(committed.ids) == sorted(f"chatcmpl-{n}" for n in (*range(10), *range(20, 40)))


@on_a_loop
async def test_a_lost_batch_leaves_named_failures_and_the_others_go_on() -> None:
    """Each of its completions is a failure with the reason; all others are stored."""
    outcomes: list[Outcome] = []

    async def work(batch: Batch) -> BatchResult:
        if batch.number == 3:
            raise WorkerLostError("the worker died: no memory")
        return done(batch)

    async def take(flush: Flush) -> None:
        outcomes.extend(flush.outcomes)

    await exporter(work).export(asked(95), take)

    failures = [outcome.failure for outcome in outcomes if outcome.failure is not None]
    assert sorted(outcome.completion_id for outcome in outcomes) == sorted(
        f"chatcmpl-{n}" for n in range(95)
    )
    assert [failure.completion_id for failure in failures] == [
        f"chatcmpl-{n}" for n in range(20, 30)
    ]
    assert {(failure.reason, failure.detail) for failure in failures} == {
        ("worker_lost", "the worker died: no memory")
    }


def test_what_is_stored_unchanged_is_not_lost() -> None:
    """It needed no worker: it counts as looked at, so that no gap is opened for it."""
    completion = read_completion(b'{"id": "chatcmpl-a", "created": 1700000000}')
    stored = StoredVersion(digest=b"d", first_seen_at=1, observed_at=1)
    unchanged = Listed(completion, b"d", stored, 7)
    changed = Listed(completion, b"e", stored, 8)

    flush = flush_of_lost([unchanged, changed], SourceJob("openai"), "run", "why")

    assert [(outcome.kind, outcome.sequence) for outcome in flush.outcomes] == [
        ("unchanged", 7), ("failed", 8),
    ]  # fmt: skip
    assert flush.outcomes[1].failure is not None
    assert flush.outcomes[1].failure.created == completion.created


@on_a_loop
async def test_workers_that_keep_dying_end_the_run() -> None:
    """Three batches in a row that no worker survives are not a completion's fault."""
    committed = Committed()

    async def work(batch: Batch) -> BatchResult:
        if batch.number > 2:
            raise WorkerLostError("the worker died: no memory")
        return done(batch)

    with pytest.raises(ChatlakeError, match=r"3 batches in a row .* no memory"):
        await exporter(work, workers=1).export(asked(10_000), committed.take)

    assert 50 <= len(committed.ids) <= 70


@on_a_loop
async def test_a_batch_carries_what_a_worker_needs_and_no_secret() -> None:
    """Its source alone, with references; neither the address to notify nor what is selected."""
    carried: list[bytes] = []

    async def work(batch: Batch) -> BatchResult:
        carried.append(pickle.dumps(batch))
        return done(batch)

    await exporter(work).export(asked(3), Committed().take)

    batch = pickle.loads(carried[0])
    assert batch.settings.lake_location == SETTINGS.lake_location
    assert str(batch.settings.source("openai").api_key) == "${NO_SUCH_KEY}"
    assert batch.settings.source("openai").select.ids == ()
    assert b"of-this-run" not in carried[0]
    assert b"chatcmpl-selected" not in carried[0]


@on_a_loop
async def test_batches_under_way_stop_when_another_fails() -> None:
    """Once an error is known, batches take up no further items."""
    looked_at: list[Item] = []

    async def work(batch: Batch) -> BatchResult:
        if batch.number == 1:
            raise AuthenticationError("the key is wrong")
        await asyncio.sleep(0.01)
        looked_at.extend(batch.items)
        return BatchResult()

    with pytest.raises(AuthenticationError):
        await exporter(work).export(asked(1000), Committed().take)

    assert looked_at == []


@on_a_loop
async def test_an_error_of_the_list_is_raised_after_the_commits() -> None:
    """What was listed before the list failed is exported or left undone, never lost half way."""
    committed = Committed()

    async def broken() -> AsyncIterator[Item]:
        async for item in asked(25):
            yield item
        raise InvalidResponseError("not JSON")

    async def work(batch: Batch) -> BatchResult:
        return done(batch)

    with pytest.raises(InvalidResponseError, match="not JSON"):
        await exporter(work).export(broken(), committed.take)

    assert len(committed.ids) >= 20


@on_a_loop
async def test_cancelling_commits_what_is_under_way() -> None:
    """An interrupted run waits for its batches, which stop early, and commits what they have."""
    committed, begun = Committed(), asyncio.Event()

    async def work(batch: Batch) -> BatchResult:
        begun.set()
        result = done(batch)
        await asyncio.sleep(0.02)
        return result

    task = asyncio.create_task(exporter(work, workers=1).export(asked(10_000), committed.take))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(committed.ids) in (10, 20)


@pytest.mark.parametrize("times", [2, 3])
@on_a_loop
async def test_cancelling_again_loses_nothing(times: int) -> None:
    """However often it is cancelled, it ends when the batches under way are committed."""
    committed, begun, ends = Committed(), asyncio.Event(), asyncio.Event()

    async def work(batch: Batch) -> BatchResult:
        begun.set()
        result = done(batch)
        await ends.wait()
        return result

    task = asyncio.create_task(exporter(work, workers=1).export(asked(10_000), committed.take))
    await begun.wait()
    for _ in range(times):
        task.cancel()
        for _ in range(20):  # it gets to where it waits for the batches
            await asyncio.sleep(0)
    assert not task.done()
    ends.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(committed.ids) in (10, 20)


@on_a_loop
async def test_a_batch_that_fills_slowly_sets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items wait for their batch to be full for a limited time only."""
    monkeypatch.setattr("chatlake.flows.batches.gathering.FILL_SECONDS", 0.02)
    seen = asyncio.Event()

    async def slowly() -> AsyncIterator[Item]:
        yield Asked("chatcmpl-first")
        await seen.wait()
        yield Asked("chatcmpl-second")

    async def work(batch: Batch) -> BatchResult:
        seen.set()
        return done(batch)

    committed = Committed()
    async with asyncio.timeout(5):
        await exporter(work).export(slowly(), committed.take)

    assert committed.ids == ["chatcmpl-first", "chatcmpl-second"]


def test_sizes_follow_the_pace() -> None:
    """A batch grows while it is quicker than its time, to the limit, and shrinks when slower."""
    sizes = BatchSizes(500)
    first = sizes.size
    for _ in range(5):
        sizes.measured(sizes.size, sizes.size / 150)
    fast = sizes.size
    sizes.measured(fast, fast / 20)

    assert (first, fast, sizes.size) == (64, 500, 160)


def test_batches_that_are_too_quick_for_prefect_grow() -> None:
    """A batch of half a second would cost Prefect's server a tenth of it; smaller ones on demand."""
    sizes, small = BatchSizes(500), BatchSizes(100)
    for _ in range(9):
        sizes.measured(sizes.size, sizes.size / 1000)
        small.measured(small.size, small.size / 1000)

    assert sizes.size == 2000
    assert small.size == 100


def test_a_set_pace_makes_the_first_batch_small() -> None:
    """With 30 requests a minute the first batch is not an hour."""
    assert BatchSizes(500, requests_per_second=0.5).size == 4
    assert BatchSizes(500, requests_per_second=0.001).size == 1


def test_a_small_rest_does_not_shrink_the_batches() -> None:
    """A batch that the list's end cut short says little about the pace."""
    sizes = BatchSizes(500)
    sizes.measured(3, 2.0)

    assert sizes.size == 64


def test_batches_grow_with_a_huge_source() -> None:
    """After hundreds of batches they are bigger, so a huge source does not flood Prefect."""
    sizes = BatchSizes(500)
    for _ in range(1000):
        sizes.measured(sizes.size, sizes.size / 100_000)

    assert sizes.size == 500 * 16


def test_stopped_items_end_early() -> None:
    """Iterating over a batch ends once the run is to stop; in another process it is all items."""
    stopped = threading.Event()
    items = BatchItems([Asked("a"), Asked("b")], stopped)
    iterator = iter(items)
    first = next(iterator)
    stopped.set()

    assert first == Asked("a")
    assert list(iterator) == []
    assert list(pickle.loads(pickle.dumps(items))) == [Asked("a"), Asked("b")]


@on_a_loop
async def test_ids_are_not_sent_with_every_batch() -> None:
    """The job of a batch says that ids were given, and leaves the list of them at home."""
    jobs = []

    async def work(batch: Batch) -> BatchResult:
        jobs.append(batch.job)
        return done(batch)

    job = SourceJob("openai", mode="ids", ids=tuple(f"chatcmpl-{n}" for n in range(1000)))
    export = BatchedExport(SETTINGS, job, "run", work, BatchSizes(500), window=4)
    await export.export(asked(3), Committed().take)

    assert [job.ids for job in jobs] == [()]
