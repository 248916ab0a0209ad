"""Token prices: an entry of `prices` in the configuration, as the catalogue stores it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens, for the models that match a pattern, from a UTC day on.

    `cached_input`: for prompt tokens read from the cache; None: the same as `input`.
    """

    model: str
    valid_from: date
    input: float
    cached_input: float | None
    output: float


def fingerprint(prices: Sequence[Price]) -> str:
    """Return a text that is equal for equal prices; empty for none."""
    return ";".join(",".join(map(str, astuple(price))) for price in prices)
