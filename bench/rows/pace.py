"""How near a backup comes to the ideal: at a latency, and under a limit that it must find."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.backups import back_up_all, ceiling, configuration
from bench.results import Row, Target
from bench.servers import Figures, Server, serving
from bench.stage import Stage

LATENCY = "latency"
RATE = "rate-limit"
LATENCY_MS = 150
CONCURRENCY = 64
PER_MINUTE = 3_000
BURST = PER_MINUTE / 60
"""The bucket holds one second's worth of requests, see `chatlake.simulator.limiter`."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What the service says about its limit; the least share to use, the most to have refused."""

    headers: str
    words: str
    used: float
    refused: float


LIMITS = (
    Limit("none", "no header", 0.95, 0.01),
    Limit("retry-after", "Retry-After", 0.97, 0.005),
    Limit("x-ratelimit", "x-ratelimit headers", 0.97, 0.005),
)


def measure_latency(stage: Stage) -> Iterator[Row]:
    """Yield the rate of requests at a latency that hides everything else."""
    possible = CONCURRENCY / (LATENCY_MS / 1000)
    count = int(possible * stage.sizes.latency_s)
    with serving(count, latency_ms=LATENCY_MS) as server:
        some = min(count, 20 * CONCURRENCY)
        highest = ceiling(server, requests=some, connections=CONCURRENCY)
        figures = _back_up(stage, server, LATENCY, CONCURRENCY)
    rate = figures.requests / figures.seconds
    yield Row(
        LATENCY,
        f"requests a second at {LATENCY_MS} ms latency, {CONCURRENCY} at once",
        f"{rate:.0f}/s",
        f"{possible:.0f}/s",
        rate / possible,
        Target("at least", 0.95),
        note=f"the server answers the simplest client {highest:,.0f} times a second",
    )


def measure_rates(stage: Stage) -> Iterator[Row]:
    """Yield for each kind of limit how much of it was used and how much was refused.

    All at once: each takes a minute, and next to no CPU.
    """
    with ThreadPoolExecutor(len(LIMITS)) as pool:
        all_figures = list(pool.map(lambda limit: _limited(stage, limit), LIMITS))
    for limit, figures in zip(LIMITS, all_figures, strict=True):
        # Possible: what the bucket held at the first request, and what came in until the last.
        possible = BURST + PER_MINUTE / 60 * figures.seconds
        granted = figures.requests - figures.limited
        yield Row(
            RATE,
            f"share of {PER_MINUTE:,} requests a minute used, {limit.words}",
            f"{granted:,}",
            f"{possible:,.0f}",
            granted / possible,
            Target("at least", limit.used),
            note=f"a run of {figures.seconds:.0f} s from nothing",
        )
        yield Row(
            RATE,
            f"share of requests refused, {limit.words}",
            f"{figures.limited:,}",
            f"{figures.requests:,}",
            figures.limited / figures.requests,
            Target("at most", limit.refused),
        )


def _limited(stage: Stage, limit: Limit) -> Figures:
    lists = 1.01  # one more request for each hundred completions
    count = int((BURST + PER_MINUTE / 60 * stage.sizes.paced_s) / lists)
    with serving(count, requests_per_minute=PER_MINUTE, rate_headers=limit.headers) as server:
        return _back_up(stage, server, f"{RATE}-{limit.headers}", 32)


def _back_up(stage: Stage, server: Server, name: str, concurrency: int) -> Figures:
    config = configuration(stage.folder / name, server, concurrency=concurrency)
    server.figures()
    back_up_all(config, server)
    return server.figures()
