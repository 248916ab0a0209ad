"""Finding the rate that a service allows, from its refusals alone.

The routes of stored completions send no rate headers, so only a refusal shows the limit.

1. A service that refuses a request for its rate has nothing left at that moment.
2. So between two refusals it has granted exactly what it refills. The limit is the number of
   granted requests, divided by the seconds between the refusals. This holds for any latency and
   any burst, and is more exact the further the refusals are apart.
3. After the first refusal nothing is sent for about as long as the running requests need to end,
   at most a second. All refusals among them count as one event.
4. The search then starts at the rate that was granted to those requests. The second refusal ends
   it and gives the first measure. `RateCurve` describes how the rate grows in between.
5. Some refusals do not depend on the rate, such as those of a gateway that refuses one request in
   fifty. They continue soon after each of several decreases in a row. The finder then returns to
   the rate before those decreases, ignores refusals for some seconds, and tests them again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import msgspec

from chatlake.model.rate_curve import RateCurve

_SETTLING_S = 0.25  # long enough to see some refill, short enough to lose none of it
_LONGEST_SETTLING_S = 1.0
_MEMORY_S = 15.0
_RECENT = 16
_OVERLOAD = 0.5  # share of refusals among recent responses at which the limit is far below the rate
_HOPELESS = 0.75
_SOON = 100  # answers
_DECREASES_IN_VAIN = 6
_SHORTEST_IGNORING_S, _LONGEST_IGNORING_S = 10.0, 80.0


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """A request under way: its number in the order of sending (from 1), and when it was sent."""

    number: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class _Mark:
    """A moment at which the service had nothing left; `failed`: the failures known by then."""

    number: int
    sent_at: float
    failed: int

    def granted_until(self, later: _Mark) -> int:
        return later.number - self.number - (later.failed - self.failed)


class RateFinder:
    """The rate to send at.

    Report every request sent to it, and exactly once how it ended. `hold_until`: send nothing
    before this time. Times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self.hold_until = float("-inf")
        self._curve = RateCurve()
        self._sent = Ticket(0, 0.0)
        self._failed = 0
        self._answers = 0
        self._latency_s = 0.0
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._marks: deque[_Mark] = deque(maxlen=8)
        self._settling: _Mark | None = None
        self._barren = 0  # events in a row between which nothing was granted
        self._barrier = 0  # the last request sent before the last decrease
        self._decreased_at_answer = 0
        self._decreases_in_vain = 0
        self._rate_before = self._curve.rate
        self._ignoring_s = _SHORTEST_IGNORING_S
        self._ignore_until = float("-inf")

    @property
    def is_tuned(self) -> bool:
        """Whether a limit was met and measured."""
        return self._curve.is_tuned

    def rate(self, now: float) -> float:
        """Return the requests per second to send at."""
        if self._settling and now >= self.hold_until:
            self._settle(self._settling)
        return self._curve.rate

    def sent(self, now: float) -> Ticket:
        """Note a request that is sent now."""
        self._sent = Ticket(self._sent.number + 1, now)
        return self._sent

    def accepted(self, now: float, ticket: Ticket) -> None:
        """Note a response that was not a refusal."""
        self._answers += 1
        self._recent.append(False)
        weight = 0.1 if self._latency_s else 1.0
        self._latency_s += weight * (now - ticket.sent_at - self._latency_s)
        if not self._settling:
            self._barren = 0
            self._curve.grow(now)

    def lost(self) -> None:
        """Note a request whose end says nothing about the pace."""
        self._failed += 1

    def refused(
        self, now: float, ticket: Ticket, *, certain: bool = True, pause_s: float | None = None
    ) -> None:
        """Note a refusal.

        `certain`: whether it is about the rate for sure. If not, it counts only when at least half
        of the recent responses are refusals. `pause_s`: the pause that came with it.
        """
        self._failed += 1
        self._answers += 1
        self._recent.append(True)
        if now < self._ignore_until:
            if self._refused_share() < _HOPELESS:
                return
            self._ignore_until = now
        if certain or self._refused_share() >= _OVERLOAD:
            self._decrease(now, ticket, pause_s)

    def exhausted(self, now: float, ticket: Ticket) -> None:
        """Note that an accepted response said that nothing remains. Call it after `accepted`.

        It counts like a refusal.
        """
        self._decrease(now, ticket)

    def _decrease(self, now: float, ticket: Ticket, pause_s: float | None = None) -> None:
        if (
            self._settling and ticket.number < self._settling.number
        ):  # responses overtake each other
            self._settling = _Mark(ticket.number, ticket.sent_at, self._settling.failed)
        if self._settling or ticket.number <= self._barrier:
            return  # the same event: the request was under way when the rate went down
        self._barrier = self._sent.number
        mark = _Mark(ticket.number, ticket.sent_at, self._failed)
        if not self._marks:
            self._rate_before = self._curve.rate
            self._decreases_in_vain = 0
            self._begin_settling(now, mark)
            return
        soon = self._answers - self._decreased_at_answer < _SOON
        self._decreased_at_answer = self._answers
        if not soon:
            self._rate_before = self._curve.rate
            self._decreases_in_vain = 0
        elif not self._curve.is_searching:
            self._decreases_in_vain += 1
        if self._decreases_in_vain >= _DECREASES_IN_VAIN:
            self._ignore_for_a_while(now)
        elif self._refused_share() >= _OVERLOAD:
            self._begin_settling(now, mark)
        else:
            self._measure(mark, pause_s)
            self.hold_until = now + 2 / self._curve.rate  # a little slack, against jitter

    def _refused_share(self) -> float:
        return sum(self._recent) / len(self._recent) if len(self._recent) >= 4 else 0.0

    def _begin_settling(self, now: float, mark: _Mark) -> None:
        settling_s = max(_SETTLING_S, min(_LONGEST_SETTLING_S, 1.25 * self._latency_s))
        self.hold_until = now + settling_s * 2 ** min(self._barren, 4)
        self._settling = mark

    def _settle(self, first: _Mark) -> None:
        """Start the search, at the rate granted to the requests that were under way."""
        last = _Mark(self._sent.number, self._sent.sent_at, self._failed)
        granted = first.granted_until(last)
        seconds = max(last.sent_at - first.sent_at, self._latency_s, 0.001)
        if granted > 0 or not self._barren:
            rate = min(self._curve.rate, max(granted + 0.5, 1.5) / seconds)
            self._curve.search(rate, doubling_s=2.0)
        else:
            self._curve.search(min(self._curve.rate / 4, 4.0), doubling_s=0.5)
        self._barren = 0 if granted > 0 else self._barren + 1
        self._settling = None
        self._barrier = last.number
        self._recent.clear()
        self._marks.clear()
        self._marks.append(first)

    def _measure(self, mark: _Mark, pause_s: float | None) -> None:
        """Set the rate by what was granted since an earlier refusal.

        Of the remembered refusals, the one with the highest rate counts: a pause, or a time with
        few requests, can only lower the measure.
        """
        while len(self._marks) > 1 and mark.sent_at - self._marks[0].sent_at > _MEMORY_S:
            self._marks.popleft()
        limit, limit_granted = 0.0, 0
        for earlier in self._marks:
            granted, seconds = earlier.granted_until(mark), mark.sent_at - earlier.sent_at
            if granted > 0 and seconds > 0 and (granted - 0.5) / seconds > limit:
                limit, limit_granted = (granted - 0.5) / seconds, granted
        if limit_granted:
            self._curve.tune(limit, granted=limit_granted, pause_s=pause_s)
        else:
            seconds = max(mark.sent_at - self._marks[0].sent_at, 0.001)
            self._curve.search(min(self._curve.rate / 2, 1 / seconds), doubling_s=0.5)
        self._marks.append(mark)

    def _ignore_for_a_while(self, now: float) -> None:
        self._ignore_until = now + self._ignoring_s
        self._ignoring_s = min(_LONGEST_IGNORING_S, 2 * self._ignoring_s)
        self._decreases_in_vain = 0
        self._marks.clear()
        self._recent.clear()
        self._curve.set_free(self._rate_before)
