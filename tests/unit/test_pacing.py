"""The shared pace at work: which request may be sent, and when."""

from __future__ import annotations

import asyncio

import pytest

from chatlake.api.pacing import PauseTooLongError, SharedPace
from chatlake.model.pace import Pace, RequestOutcome


def shared(pace: Pace) -> SharedPace:
    """Return a shared pace on the loop's own clock."""
    return SharedPace(pace, clock=lambda: asyncio.get_running_loop().time(), sleep=asyncio.sleep)


def most_at_once(pace: SharedPace, requests: int) -> int:
    """Send requests that overlap as far as the pace permits; return how many ever did."""
    under_way, most = 0, 0

    async def request() -> None:
        nonlocal under_way, most
        ticket = await pace.start(waits_until=lambda now: now + 60)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.03)
        under_way -= 1
        pace.finish(ticket, RequestOutcome.ACCEPTED)

    async def all_of_them() -> None:
        await asyncio.gather(*(request() for _ in range(requests)))

    asyncio.run(all_of_them())
    return most


def test_no_more_requests_at_once_than_concurrency() -> None:
    """As many requests are under way as `concurrency` permits, and never one more."""
    assert most_at_once(shared(Pace(concurrency=4)), 40) == 4


def test_a_share_of_the_pace_is_a_share_of_the_requests_at_once() -> None:
    """A worker with half of the pace has half of the requests under way."""
    pace = shared(Pace(concurrency=6))
    pace.use_share(0.5)
    assert most_at_once(pace, 30) == 3


def test_a_pause_that_is_too_long_takes_no_slot() -> None:
    """A caller that will not wait so long learns how long it would be, and others get its slot."""
    pace = shared(Pace(concurrency=1))

    async def use() -> float:
        ticket = await pace.start(waits_until=lambda now: now + 60)
        pace.finish(ticket, RequestOutcome.OVERLOADED, retry_after_s=0.1)
        with pytest.raises(PauseTooLongError) as refused:
            await pace.start(waits_until=lambda now: now)
        await pace.start(waits_until=lambda now: now + 60)
        return refused.value.seconds

    assert 0 < asyncio.run(use()) <= 0.1
