"""What tokens cost: an entry of `prices` in the configuration, as the catalogue keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars a million tokens, of the models that a pattern with * matches, from a UTC day on.

    `cached_input`: of prompt tokens out of the cache; None: as `input`.
    """

    model: str
    valid_from: date
    input: float
    cached_input: float | None
    output: float


def fingerprint(prices: Sequence[Price]) -> str:
    """Return a text that is the same for the same prices; empty for none."""
    return ";".join(",".join(map(str, astuple(price))) for price in prices)
