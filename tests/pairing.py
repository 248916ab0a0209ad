"""Fewer cases where two things vary that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def paired(first: Iterable[Any], second: Iterable[Any], each: int = 1) -> list[tuple[Any, Any]]:
    """Return each value of `first` with `each` values of `second`, which take turns.

    Every value of both occurs. The full product would try every pair, which tells more only
    where a fault needs a certain pair of values.
    """
    rows, values = list(first), list(second)
    cases = [
        (row, values[(number + turn * -(-len(values) // each)) % len(values)])
        for number, row in enumerate(rows)
        for turn in range(each)
    ]
    assert all(value in [met for _, met in cases] for value in values), "give more of each"
    return cases
