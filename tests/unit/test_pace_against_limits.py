"""The pace against services that limit requests: a seeded discrete-event simulation.

No clock, no network: `run` asks the pace when requests may leave, delays them by a latency, lets a
limit decide, and gives the answers back, as fast as virtual time allows.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from chatlake.model.pace import Pace, RequestOutcome
from chatlake.model.rate_finder import Ticket
from chatlake.model.retry_after import RateLimit

RATE = 50.0  # 3,000 requests a minute


@dataclass
class Answer:
    granted: bool
    retry_after_s: float | None = None
    limit: RateLimit | None = None


@dataclass
class Bucket:
    """A token bucket: `rate` requests/s, `burst` requests at once; `headers` that it sends."""

    rate: float
    burst: float
    headers: str = "none"
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def ask(self, now: float) -> Answer:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        granted = self.tokens >= 1
        self.tokens -= granted
        missing_s = (1 - self.tokens) / self.rate
        full_s = (self.burst - self.tokens) / self.rate
        retry_after_s = {"seconds": math.ceil(missing_s), "exact": missing_s}.get(self.headers)
        limit = RateLimit(int(self.burst), int(self.tokens), full_s)
        return Answer(
            granted,
            None if granted else retry_after_s,
            limit if self.headers == "remaining" else None,
        )


@dataclass
class Figures:
    """When each answer came, and whether it was granted."""

    answers: list[tuple[float, bool]]

    def granted(self, begin: float, end: float) -> int:
        return sum(granted for at, granted in self.answers if begin <= at < end)

    def refused_share(self, begin: float, end: float) -> float:
        within = [granted for at, granted in self.answers if begin <= at < end]
        return 1 - sum(within) / len(within)


def run(
    pace: Pace,
    ask: Callable[[float], Answer],
    *,
    seconds: float,
    latency_s: float,
    seed: int = 1,
    refusal: RequestOutcome = RequestOutcome.LIMITED,
) -> Figures:
    """Send as much as the pace permits; latency varies by a tenth, sleeps end up to 1.5 ms late."""
    rng = random.Random(seed)
    order = itertools.count()
    events: list[tuple[float, int, str, Ticket | None, float, Answer | None]] = []
    answers: list[tuple[float, bool]] = []
    waking = True
    heapq.heappush(events, (0.0, next(order), "wake", None, 0.0, None))
    while events:
        now, _, what, ticket, way_s, answer = heapq.heappop(events)
        if now > seconds:
            break
        if what == "arrive":
            heapq.heappush(events, (now + way_s, next(order), "end", ticket, way_s, ask(now)))
            continue
        if what == "end":
            assert ticket
            assert answer
            outcome = RequestOutcome.ACCEPTED if answer.granted else refusal
            pace.finish(
                now, ticket, outcome, retry_after_s=answer.retry_after_s, limit=answer.limit
            )
            answers.append((now, answer.granted))
        else:
            waking = False
        while (delay_s := pace.delay_s(now)) == 0:
            way_s = latency_s * rng.uniform(0.45, 0.55)
            arrival = (now + way_s, next(order), "arrive", pace.start(now), way_s, None)
            heapq.heappush(events, arrival)
        if delay_s < math.inf and not waking:
            waking = True
            wake_at = now + delay_s + rng.uniform(0, 0.0015)
            heapq.heappush(events, (wake_at, next(order), "wake", None, 0.0, None))
    return Figures(answers)


def chance(share: float, seed: int = 1) -> Callable[[float], Answer]:
    """Refuse a share of the requests, whatever the rate."""
    rng = random.Random(seed)
    return lambda now: Answer(rng.random() >= share)


def cases(latencies: Iterable[float], slots: Iterable[int]) -> list[tuple[float, int]]:
    """Return every latency with every concurrency."""
    return list(itertools.product(latencies, slots))


@pytest.mark.parametrize(("latency_s", "concurrency"), cases((0.005, 0.02, 0.05), (8, 32, 64)))
def test_bucket_of_one_second(latency_s: float, concurrency: int) -> None:
    """In the first minute 95 % of an unannounced limit is used, 1 % of the requests refused."""
    bucket = Bucket(RATE, burst=RATE)
    figures = run(Pace(concurrency=concurrency), bucket.ask, seconds=120, latency_s=latency_s)
    assert figures.granted(0, 60) >= 0.95 * (60 * RATE + RATE)
    assert figures.refused_share(0, 60) <= 0.01
    assert figures.granted(60, 120) >= 0.99 * 60 * RATE
    assert figures.refused_share(60, 120) <= 0.004


@pytest.mark.parametrize("concurrency", [32, 64])
def test_bucket_of_one_second_far_away(concurrency: int) -> None:
    """At 150 ms, requests under way when the limit is met are refused: still at most 1 %."""
    for seed in range(3):
        bucket = Bucket(RATE, burst=RATE)
        pace = Pace(concurrency=concurrency)
        figures = run(pace, bucket.ask, seconds=120, latency_s=0.15, seed=seed)
        assert figures.granted(0, 60) >= 0.95 * (60 * RATE + RATE)
        assert figures.refused_share(0, 60) <= 0.01
        assert figures.granted(60, 120) >= 0.99 * 60 * RATE
        assert figures.refused_share(0, 120) <= 0.0075


@pytest.mark.parametrize(
    ("latency_s", "concurrency"), [(0.005, 64), (0.02, 32), (0.05, 32), (0.15, 32), (0.15, 64)]
)
def test_bucket_of_one_minute(latency_s: float, concurrency: int) -> None:
    """A burst of a minute's worth hides the limit, which is still found at its end."""
    bucket = Bucket(RATE, burst=60 * RATE)
    figures = run(Pace(concurrency=concurrency), bucket.ask, seconds=120, latency_s=latency_s)
    assert figures.granted(0, 60) >= 0.95 * (60 * RATE + 60 * RATE)
    assert figures.refused_share(0, 60) <= (0.01 if concurrency < 64 or latency_s < 0.02 else 0.013)
    assert figures.granted(0, 120) >= 0.98 * (120 * RATE + 60 * RATE)


@pytest.mark.parametrize("headers", ["seconds", "exact", "remaining"])
@pytest.mark.parametrize(("latency_s", "concurrency"), cases((0.005, 0.02), (8, 32)))
def test_bucket_with_headers(headers: str, latency_s: float, concurrency: int) -> None:
    """Where headers come, 97 % of the limit is used and half a percent of the requests refused."""
    bucket = Bucket(RATE, burst=RATE, headers=headers)
    figures = run(Pace(concurrency=concurrency), bucket.ask, seconds=60, latency_s=latency_s)
    assert figures.granted(0, 60) >= 0.97 * (60 * RATE + RATE)
    assert figures.refused_share(0, 60) <= 0.005


@pytest.mark.parametrize("latency_s", [0.005, 0.05])
def test_what_came_in_during_a_pause_is_used(latency_s: float) -> None:
    """A bucket fills up while the service asks for a whole second: none of that is given away."""
    bucket = Bucket(RATE, burst=RATE, headers="seconds")
    figures = run(Pace(concurrency=32), bucket.ask, seconds=300, latency_s=latency_s)
    assert figures.granted(0, 300) >= 0.99 * (300 * RATE + RATE)
    assert figures.refused_share(0, 300) <= 0.003


@pytest.mark.parametrize("burst", [2, 10])
def test_a_pause_is_no_leave_for_a_burst(burst: int) -> None:
    """A bucket too small to fill up refuses the first of those that catch up, not all of them."""
    bucket = Bucket(RATE, burst=burst, headers="seconds")
    figures = run(Pace(concurrency=32), bucket.ask, seconds=300, latency_s=0.05)
    assert figures.refused_share(60, 300) <= 0.003
    assert figures.granted(60, 300) >= (0.57 if burst == 2 else 0.64) * 240 * RATE


def test_no_limit() -> None:
    """Where no limit is met, 64 requests under way at 150 ms give 95 % of 64 / 0.15 s."""
    figures = run(Pace(concurrency=64), chance(0), seconds=20, latency_s=0.15)
    assert figures.granted(0, 20) >= 0.95 * 20 * 64 / 0.15
    assert figures.granted(5, 20) >= 0.99 * 15 * 64 / 0.15


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_refusals_by_chance(share: float) -> None:
    """Refusals that do not depend on the rate are found out, and the rate is restored."""
    granted = [
        run(
            Pace(concurrency=16), chance(share, seed), seconds=40, latency_s=0.05, seed=seed
        ).granted(10, 40)
        for seed in range(1, 6)
    ]
    assert min(granted) >= 0.77 * 30 * 16 / 0.05
    assert sum(granted) / 5 >= 0.81 * 30 * 16 / 0.05


def test_single_503_slows_nothing() -> None:
    """One 503 in fifty is chance: the rate stays what it was."""
    figures = run(
        Pace(concurrency=16),
        chance(0.02),
        seconds=20,
        latency_s=0.05,
        refusal=RequestOutcome.OVERLOADED,
    )
    assert figures.granted(0, 20) >= 0.9 * 20 * 16 / 0.05


def test_storm_of_503() -> None:
    """A minute in which all is refused gets a request a second at most, and is over soon after."""

    def ask(now: float) -> Answer:
        return Answer(not 10 <= now < 70)

    figures = run(
        Pace(concurrency=32), ask, seconds=90, latency_s=0.05, refusal=RequestOutcome.OVERLOADED
    )
    refused = [at for at, granted in figures.answers if not granted]
    assert len([at for at in refused if 15 <= at < 70]) <= 55
    assert figures.granted(80, 90) >= 0.9 * 10 * 32 / 0.05


@pytest.mark.parametrize("later", [25.0, 100.0])
def test_limit_that_changes(later: float) -> None:
    """A limit that is halved or doubled is found again within half a minute."""
    bucket = Bucket(RATE, burst=RATE)

    def ask(now: float) -> Answer:
        if now >= 40:
            bucket.rate = bucket.burst = later
        return bucket.ask(now)

    figures = run(Pace(concurrency=32), ask, seconds=120, latency_s=0.02)
    assert figures.granted(80, 120) >= 0.95 * 40 * later
    assert figures.refused_share(80, 120) <= 0.01


@pytest.mark.parametrize("limit", [None, 40.0])
def test_configured_bound_below_the_limit(limit: float | None) -> None:
    """A bound of 25 a second is used up to 98 %, and no second has more, whatever is permitted."""
    ask = Bucket(limit, burst=limit).ask if limit else chance(0)
    pace = Pace(concurrency=32, requests_per_minute=25 * 60)
    figures = run(pace, ask, seconds=60, latency_s=0.05)
    assert figures.granted(1, 60) >= 0.98 * 59 * 25
    assert max(figures.granted(second, second + 1) for second in range(60)) <= 25 + 1
    assert figures.refused_share(0, 60) == 0


def test_shares_of_a_configured_bound() -> None:
    """Four workers with a quarter each send together what the bound of 25 a second permits."""
    granted = []
    for worker in range(4):
        pace = Pace(concurrency=32, requests_per_minute=25 * 60)
        pace.use_share(0.25)
        figures = run(pace, chance(0), seconds=60, latency_s=0.05, seed=worker)
        granted.append(figures.granted(1, 60))
    assert 0.98 * 59 * 25 <= sum(granted) <= 59 * 25 + 4
