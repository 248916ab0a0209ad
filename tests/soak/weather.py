"""Mixes of faults."""

from __future__ import annotations

import random
from typing import Any

COMMON = (
    "reset", "truncated", "error_429", "error_500", "error_502", "error_503", "html_200",
    "invalid_json", "slow",
)  # fmt: skip
RARE = (
    "error_504", "wrong_types", "empty_page", "repeated_page", "overlapping_page", "hang",
)  # fmt: skip
UNREADABLE = {"html_200", "invalid_json", "wrong_types", "empty_page", "repeated_page"}
HARMLESS = {"slow", "slow_seconds", "retry_after", "retry_after_seconds"}
"""What alone keeps no run from being complete."""


def choose_faults(rng: random.Random) -> dict[str, Any]:
    """Choose a mix of faults with modest rates; each fourth time none."""
    names = rng.sample(COMMON, rng.randint(1, 4)) + rng.sample(RARE, 1)
    rates = {name: round(rng.uniform(0.01, 0.06), 4) for name in names}
    for costly in {names[-1], "error_429"} & rates.keys():
        rates[costly] = round(rates[costly] / 4, 4)
    told = {
        "retry_after": rng.choice(("none", "none", "seconds", "fraction", "ms", "date")),
        "retry_after_seconds": 0.4,
        "slow_seconds": 0.3,
    }
    extra = {"missing": 0.02} if rng.random() < 0.17 else {}
    if rng.random() < 0.06:
        rates["slow"] = 0.4
    refused = {"error_401": 0.002} if rng.random() < 0.08 else {}
    return {} if rng.random() < 0.25 else {**rates, **told, **extra, **refused}
