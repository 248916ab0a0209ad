"""A row of the table: two figures of one run, their ratio, the target, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bound = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio must be at least, or at most."""

    bound: Bound
    value: float

    def is_met(self, ratio: float) -> bool:
        """Say whether `ratio` meets it; the bound itself does, not-a-number never does."""
        return ratio >= self.value if self.bound == "at least" else ratio <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `ours` against `theirs`, as texts with units; `ratio` is what the target judges.

    `group`: the name that `--only` knows. `note`: what the reader must know to read the figures.
    """

    group: str
    what: str
    ours: str
    theirs: str
    ratio: float
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        return None if self.target is None else self.target.is_met(self.ratio)
