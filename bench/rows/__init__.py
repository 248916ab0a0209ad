"""The rows, by group: what `--only` names, and the function that measures it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.results import Row
from bench.rows import (
    fetching,
    growth,
    memory,
    mixes,
    pace,
    peers,
    prefect,
    processes,
    room,
    views,
)
from bench.stage import Stage

GROUPS: dict[str, Callable[[Stage], Iterator[Row]]] = {
    peers.GROUP: peers.measure,
    mixes.GROUP: mixes.measure,
    fetching.GROUP: fetching.measure,
    memory.GROUP: memory.measure,
    room.GROUP: room.measure,
    growth.GROUP: growth.measure,
    pace.LATENCY: pace.measure_latency,
    pace.RATE: pace.measure_rates,
    views.GROUP: views.measure,
    processes.GROUP: processes.measure,
    prefect.GROUP: prefect.measure,
}
BY_DEFAULT = [name for name in GROUPS if name not in {processes.GROUP, prefect.GROUP}]
"""Without those that wait for Prefect most of the time."""
