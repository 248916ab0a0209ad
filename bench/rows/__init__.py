"""The rows, by group: what `--only` names, and the function that measures it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.results import Row
from bench.rows import fetching, growth, memory, room
from bench.stage import Stage

GROUPS: dict[str, Callable[[Stage], Iterator[Row]]] = {
    fetching.GROUP: fetching.measure,
    memory.GROUP: memory.measure,
    room.GROUP: room.measure,
    growth.GROUP: growth.measure,
}
