"""The pace of one source: when the next request may be sent. Pure: clock values are passed in.

Four things hold a request back: the number of requests at once (`concurrency`, which starts at 18
and grows in a few round trips, so that the first limit refuses few requests), a pause that the
service asked for (`Retry-After` holds all requests of the source), the rate that was found
(`RateFinder`), and the configured upper bound. After a pause, chatlake may send the requests that
the limit would have allowed during it.
"""

from __future__ import annotations

import enum
import math

from chatlake.model.rate_finder import RateFinder, Ticket
from chatlake.model.retry_after import RateLimit

_START_SLOTS = 18
_CAUTIOUS_ANSWERS = 80  # by then, a bucket with one second's worth of 3,000 a minute is empty
_CAUTIOUS_GROWTH, _GROWTH = 1 / 20, 1.0  # slots for each response
_BURST_S = 0.01
_WHOLE = 1 - 1e-6  # one request's worth of credit, except for rounding
_LONGEST_RESET_S = 120.0
_CATCHING_UP = 2.0  # times the rate, after a pause in which the limit went on to fill up
_LONGEST_REFILL_S = 1.0  # no bucket is assumed to hold more
_REFILLED = 0.8  # of what the pause should have yielded, because the bucket may be smaller


class RequestOutcome(enum.Enum):
    """How a request ended, as far as the pace is concerned."""

    ACCEPTED = "answered, if only to say no"
    LIMITED = "refused for its rate: 429"
    OVERLOADED = "refused for the load: 503; a single one may be chance"
    UNKNOWN = "failed in a way that says nothing about the pace"


class Pace:
    """Decides when the requests of one source are sent. Times are seconds of one monotonic clock.

    `concurrency`: requests under way at once. `requests_per_minute`: upper bound, None for none.
    """

    def __init__(self, *, concurrency: int, requests_per_minute: float | None = None) -> None:
        self.in_flight = 0
        self.paused_until = -math.inf
        self._given_concurrency = concurrency
        self._given_rate = math.inf if requests_per_minute is None else requests_per_minute / 60
        self._concurrency = concurrency
        self._slots = float(min(concurrency, _START_SLOTS))
        self._answers = 0
        self._highest_rate = self._given_rate
        self._finder = RateFinder()
        self._remaining: int | None = None
        self._stated_by = 0
        self._missed = 0.0
        self._credit = 1.0
        self._credit_at = -math.inf

    def use_share(self, share: float) -> None:
        """Keep to this share (above 0, at most 1) of both upper bounds from now on.

        At least one request may be under way; surplus running requests are allowed to finish.
        """
        self._concurrency = max(1, round(share * self._given_concurrency))
        self._slots = min(self._slots, float(self._concurrency))
        self._highest_rate = share * self._given_rate

    def delay_s(self, now: float) -> float:
        """Return the seconds until a request may be sent: 0 for now, inf until another one ends."""
        if self._free_slots() <= 0:
            return math.inf
        blocked_until = max(self.paused_until, self._finder.hold_until)
        if blocked_until > now:
            return blocked_until - now
        rate = self._rate(now)
        credit = self._credit_now(now, rate)
        return 0.0 if credit >= _WHOLE else (1 - credit) / rate

    def start(self, now: float) -> Ticket:
        """Take a slot for a request that is sent now; call `finish` later with the ticket."""
        self._credit = self._credit_now(now, self._rate(now)) - 1
        self._credit_at = now
        self._missed -= 1 - 1 / _CATCHING_UP
        self.in_flight += 1
        return self._finder.sent(now)

    def finish(
        self,
        now: float,
        ticket: Ticket,
        outcome: RequestOutcome,
        *,
        retry_after_s: float | None = None,
        limit: RateLimit | None = None,
    ) -> None:
        """Return the slot, and learn from how the request ended.

        `retry_after_s`: the pause that the service asks for. `limit`: its rate headers; a response
        that says that nothing remains teaches as much as a refusal, at no cost.
        """
        self.in_flight -= 1
        if ticket.number > self._stated_by:
            self._stated_by = ticket.number
            self._remaining = None if limit is None else limit.remaining
        nothing_left = limit is not None and limit.remaining == 0
        if outcome is RequestOutcome.LIMITED and limit and nothing_left and retry_after_s is None:
            retry_after_s = _believable(limit.reset_s)
        if outcome is not RequestOutcome.ACCEPTED:
            self._missed = 0.0  # there was less to catch up on than it seemed
        if retry_after_s:
            self._pause(now, retry_after_s)
        match outcome:
            case RequestOutcome.ACCEPTED:
                self._grow_slots()
                self._finder.accepted(now, ticket)
                if nothing_left:
                    self._finder.exhausted(now, ticket)
            case RequestOutcome.LIMITED:
                self._finder.refused(now, ticket, pause_s=retry_after_s)
            case RequestOutcome.OVERLOADED:
                certain = retry_after_s is not None
                self._finder.refused(now, ticket, certain=certain, pause_s=retry_after_s)
            case RequestOutcome.UNKNOWN:
                self._finder.lost()

    def _pause(self, now: float, pause_s: float) -> None:
        self.paused_until = max(self.paused_until, now + pause_s)
        if self._finder.is_tuned:
            self._missed = _REFILLED * min(pause_s, _LONGEST_REFILL_S) * self._rate(now)

    def _grow_slots(self) -> None:
        self._answers += 1
        growth = _CAUTIOUS_GROWTH if self._answers <= _CAUTIOUS_ANSWERS else _GROWTH
        self._slots = min(self._concurrency, self._slots + growth)

    def _free_slots(self) -> int:
        slots = int(self._slots)
        if self._remaining is not None:
            slots = min(slots, max(1, self._remaining))
        return slots - self.in_flight

    def _rate(self, now: float) -> float:
        rate = self._finder.rate(now)
        return min(self._highest_rate, rate * _CATCHING_UP if self._missed > 0 else rate)

    def _credit_now(self, now: float, rate: float) -> float:
        """Return how many requests may be sent at once: what has accrued, but no real burst."""
        return min(1 + rate * _BURST_S, self._credit + (now - self._credit_at) * rate)


def _believable(reset_s: float | None) -> float | None:
    """Return the reset if it is a short time; some services send a timestamp or a day instead."""
    return reset_s if reset_s is not None and reset_s <= _LONGEST_RESET_S else None
