"""What the storm counts, and what it finds wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.soak.children import Ended

Key = tuple[str, str]
"""Source and completion id."""


@dataclass
class Figures:
    """Figures to report at the end; `problems` is empty if all is well."""

    rounds: int = 0
    runs: int = 0
    commits: int = 0
    looks: int = 0
    verified: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    damaged: Counter[str] = field(default_factory=Counter)
    damage_named: int = 0
    paused: int = 0
    pairs: int = 0
    turned_away: int = 0
    late_rows: int = 0
    nights: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def add(self, others: Figures) -> None:
        """Add what was counted, and found wrong, beside these."""
        self.runs += others.runs
        self.nights += others.nights
        self.commits += others.commits
        self.looks += others.looks
        self.odd += others.odd
        self.lost |= others.lost
        self.doubled |= others.doubled
        self.problems += others.problems

    def wrong_of(self, what: str, names: Iterable[object]) -> None:
        """Note that `what` is wrong with these, if there are any."""
        some = sorted(map(_name, names))
        if some:
            more = f" and {len(some) - 8} more" if len(some) > 8 else ""
            self.problems.append(f"{what}: {', '.join(some[:8])}{more}")

    def wrong_end(self, what: str, ended: Ended) -> None:
        """Note that `what` is wrong with how a child ended."""
        errors = "\n    ".join(ended.errors.splitlines()[-12:])
        self.problems.append(f"{what}\n  chatlake {ended.words}\n    {errors}")

    def check_something_happened(self, *, odd: Iterable[str]) -> None:
        """A storm in which a kind of trouble did not come shows nothing about it.

        `odd`: the odd answers that the runs had to meet in the storm itself.
        """
        counts = {
            "no run was killed": self.killed.total(),
            "no request met a fault": self.faults.total() - self._odd_answers(),
            "no request met the outage": self.faults["outage"],
            "no damage was named by verify": self.damage_named,
            "no run was turned away by another": self.turned_away,
            "no run was paused": self.paused,
            "no row came late": self.late_rows,
            "no commit was made": self.commits,
        }
        counts |= {f"no answer was of the kind {name}": self.faults[name] for name in odd}
        self._complain("the storm was none", counts)

    def check_nights(self, kinds: Iterable[str]) -> None:
        """Nights in which a source was not odd show nothing about its kind."""
        self._complain(
            "the nights were none",
            {f"nothing odd came from {kind}": self.odd[kind] for kind in kinds},
        )

    def _complain(self, of: str, counts: dict[str, int]) -> None:
        self.problems += [f"{of}: {what}" for what, count in counts.items() if not count]

    def _odd_answers(self) -> int:
        return self.faults["time_page"] + self.faults["unknown_after"]

    def __str__(self) -> str:
        return (
            f"runs {self.runs} in {self.rounds} rounds, {self.commits} commits\n"
            f"killed {self.killed.total()}: {_told(self.killed)}\n"
            f"paused {self.paused}, two at once {self.pairs}, turned away {self.turned_away}\n"
            f"faults {self.faults.total()}: {_told(self.faults)}; late rows {self.late_rows}\n"
            f"files damaged {self.damaged.total()}: {_told(self.damaged)}; "
            f"verified {self.verified} times, named {self.damage_named}; looked {self.looks} times\n"
            f"nights {self.nights}, odd answers in them {self.odd.total()}: {_told(self.odd)}\n"
            f"lost {len(self.lost)}, doubled {len(self.doubled)}"
        )


def _name(thing: object) -> str:
    return " ".join(map(str, thing)) if isinstance(thing, tuple) else str(thing)


def _told(counts: Counter[str]) -> str:
    return " ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"
