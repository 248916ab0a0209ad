"""The shared pace at work: every request of a source waits here for its turn."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from chatlake.model.pace import Pace, RequestOutcome
from chatlake.model.rate_finder import Ticket
from chatlake.model.retry_after import RateLimit


class PauseTooLongError(Exception):
    """The service's pause ends later than the caller is willing to wait; `seconds` remain of it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"paused for another {seconds:.0f} s")
        self.seconds = seconds


class SharedPace:
    """Lets requests go in the order in which they came, when `Pace` permits.

    `clock`: monotonic seconds. `sleep`: waits that many seconds.
    """

    def __init__(
        self, pace: Pace, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._freed = asyncio.Event()

    def use_share(self, share: float) -> None:
        """Keep to a share of the upper bounds; see `Pace.use_share`."""
        self._pace.use_share(share)
        self._freed.set()

    async def start(self, *, waits_until: Callable[[float], float]) -> Ticket:
        """Wait for a slot and take it; `finish` must follow.

        `waits_until(now)`: the latest end of a pause that the caller accepts.
        PauseTooLongError if the service asked for a longer pause; no slot is taken then.
        """
        if not self._waiting and self._pace.delay_s(now := self._clock()) <= 0:
            return self._pace.start(now)
        self._waiting += 1
        try:
            async with self._turn:
                while (delay_s := self._pace.delay_s(now := self._clock())) > 0:
                    if self._pace.paused_until > waits_until(now):
                        raise PauseTooLongError(self._pace.paused_until - now)
                    if math.isinf(delay_s):
                        self._freed.clear()
                        await self._freed.wait()
                    else:
                        await self._sleep(delay_s)
                return self._pace.start(now)
        finally:
            self._waiting -= 1

    def finish(
        self,
        ticket: Ticket,
        outcome: RequestOutcome,
        *,
        retry_after_s: float | None = None,
        limit: RateLimit | None = None,
    ) -> None:
        """Give the slot back and tell the pace how the request ended."""
        self._pace.finish(self._clock(), ticket, outcome, retry_after_s=retry_after_s, limit=limit)
        self._freed.set()
