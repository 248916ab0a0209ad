"""The pace of one source, step by step."""

from __future__ import annotations

import itertools
import math

from chatlake.model.pace import Pace, RequestOutcome
from chatlake.model.rate_finder import Ticket
from chatlake.model.retry_after import RateLimit


def start_all(pace: Pace, now: float) -> list[Ticket]:
    """Send all that may leave within short."""
    tickets = []
    while pace.delay_s(now) < 0.02:
        now += pace.delay_s(now)
        tickets.append(pace.start(now))
    return tickets


def test_no_more_under_way_than_permitted() -> None:
    """The next request waits until one ends once `concurrency` are under way."""
    pace = Pace(concurrency=3)
    tickets = start_all(pace, 0.0)
    assert len(tickets) == 3
    assert pace.delay_s(1.0) == math.inf
    pace.finish(1.0, tickets[0], RequestOutcome.ACCEPTED)
    assert pace.delay_s(1.0) == 0


def test_retry_after_holds_every_request() -> None:
    """A pause that one answer asks for holds all requests of the source until it ends."""
    pace = Pace(concurrency=3)
    ticket = pace.start(0.0)
    pace.finish(1.0, ticket, RequestOutcome.OVERLOADED, retry_after_s=20.0)
    assert pace.delay_s(1.0) == 20.0
    assert pace.delay_s(15.0) == 6.0
    assert pace.delay_s(21.5) < 1.0


def test_a_later_shorter_pause_does_not_cut_the_first() -> None:
    """Of two pauses the one that ends later counts."""
    pace = Pace(concurrency=3)
    first, second = pace.start(0.0), pace.start(0.0)
    pace.finish(1.0, first, RequestOutcome.LIMITED, retry_after_s=20.0)
    pace.finish(1.0, second, RequestOutcome.LIMITED, retry_after_s=2.0)
    assert pace.paused_until == 21.0


def test_requests_per_minute_is_never_exceeded() -> None:
    """A configured bound spaces the requests out, without a burst at the start or after idling."""
    pace = Pace(concurrency=64, requests_per_minute=600)
    starts = []
    now = 0.0
    while now < 60:
        delay_s = pace.delay_s(now)
        if delay_s:
            now += delay_s
            continue
        if len(starts) == 300:
            now += 5  # idle: what was not used is lost
        starts.append(now)
        pace.finish(now, pace.start(now), RequestOutcome.ACCEPTED)
    assert 540 <= len(starts) <= 601
    assert all(b - a >= 0.0899 for a, b in itertools.pairwise(starts))


def test_a_share_bounds_slots_and_rate() -> None:
    """Half the pace is half of both bounds; more of it later is used from then on."""
    pace = Pace(concurrency=8, requests_per_minute=600)
    pace.use_share(0.5)
    pace.finish(0.0, pace.start(0.0), RequestOutcome.ACCEPTED)
    assert 0.17 < pace.delay_s(0.0) <= 0.2
    pace.use_share(1.0)
    assert pace.delay_s(0.0) <= 0.1
    pace.use_share(0.01)
    tickets = [pace.start(100.0)]
    assert pace.delay_s(1000.0) == math.inf  # one slot, never none
    pace.finish(1000.0, tickets[0], RequestOutcome.ACCEPTED)
    assert pace.delay_s(1000.0) == 0


def test_refusals_of_one_event_are_one_decrease() -> None:
    """All refusals of requests under way when the limit was met count as one event."""
    many, one = Pace(concurrency=8), Pace(concurrency=8)
    for pace, refused in ((many, 4), (one, 1)):
        for second in range(20):  # a limit that is known: tuned, and long ago
            pace.finish(second, pace.start(second), RequestOutcome.ACCEPTED)
        tickets = start_all(pace, 30.0)
        assert len(tickets) == 8
        for ticket in tickets[:refused]:
            pace.finish(30.2, ticket, RequestOutcome.LIMITED)
        for ticket in tickets[refused:]:
            pace.finish(30.2, ticket, RequestOutcome.ACCEPTED)
    assert many.delay_s(30.2) == one.delay_s(30.2)
    assert 0 < many.delay_s(30.2) < 1


def test_nothing_remaining_is_as_good_as_a_refusal() -> None:
    """An answer whose headers say that nothing remains holds the next request back."""
    pace = Pace(concurrency=8)
    ticket = pace.start(0.0)
    pace.finish(0.1, ticket, RequestOutcome.ACCEPTED, limit=RateLimit(50, 0, 0.02))
    assert pace.delay_s(0.1) > 0


def test_no_more_under_way_than_remain() -> None:
    """Requests under way never outnumber what the newest answer said remains."""
    pace = Pace(concurrency=8)
    pace.finish(0.1, pace.start(0.0), RequestOutcome.ACCEPTED, limit=RateLimit(50, 2, 1.0))
    assert len(start_all(pace, 1.0)) == 2


def test_reset_of_a_refusal_is_a_pause() -> None:
    """A 429 that says when the limit is whole again, and no Retry-After, pauses until then."""
    pace = Pace(concurrency=8)
    pace.finish(0.0, pace.start(0.0), RequestOutcome.LIMITED, limit=RateLimit(50, 0, 6.0))
    assert pace.delay_s(0.0) == 6.0


def test_reset_that_is_a_moment_is_not_slept() -> None:
    """A reset sent as seconds since 1970 is not taken for a duration."""
    pace = Pace(concurrency=8)
    pace.finish(0.0, pace.start(0.0), RequestOutcome.LIMITED, limit=RateLimit(50, 0, 1.7e9))
    assert pace.delay_s(0.0) < 10
