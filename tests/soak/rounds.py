"""What a round does, chosen from the seed before it begins."""

from __future__ import annotations

import random
import signal
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from chatlake import failpoints
from tests.soak.mirror import Change, Mirror
from tests.soak.weather import HARMLESS, choose_faults

LATE_ROW_HIDDEN_IN = 2
TIMEZONES = ("UTC", "Pacific/Kiritimati", "America/St_Johns", "Africa/Casablanca", "Asia/Kathmandu")


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to a backup: a signal after some seconds, or a fail-point that kills it."""

    name: str = "none"
    number: int = 0
    after: float = 0.0
    failpoint: str = ""

    @classmethod
    def choose(cls, rng: random.Random) -> Disturbance:
        """Choose one."""
        kind = rng.choices(("none", "SIGKILL", "SIGTERM", "SIGINT", "fail-point"), (4, 4, 2, 1, 5))
        after = rng.triangular(0.2, 4.0, 1.1)
        # Few commits write a checkpoint.
        weights = [1 if name.startswith("checkpoint.") else 4 for name in failpoints.NAMES]
        (name,) = rng.choices(failpoints.NAMES, weights)
        nth = rng.randint(1, 12 if name.startswith("part.") else 2)
        if kind == ["none"]:
            return cls()
        if kind == ["fail-point"]:
            return cls.at(name, nth)
        return cls(kind[0], signal.Signals[kind[0]].value, after)

    @classmethod
    def at(cls, name: str, nth: int = 1) -> Disturbance:
        """A kill at the fail-point `name`, reached for the `nth` time."""
        return cls("fail-point", failpoint=f"{name}:kill:{nth}")

    @property
    def codes(self) -> set[int]:
        """The exit codes that it may lead to, besides those of an undisturbed run."""
        if self.failpoint:
            return {-signal.SIGKILL}
        return {
            "none": set[int](),
            "SIGKILL": {-signal.SIGKILL},
            # Before the command is there to handle it, the signal ends the interpreter itself.
            "SIGTERM": {143, -signal.SIGTERM},
            "SIGINT": {130, -signal.SIGINT},
        }[self.name]

    def __str__(self) -> str:
        if self.number:
            return f"{self.name} after {self.after:.1f} s"
        return self.failpoint or "undisturbed"


@dataclass(frozen=True, slots=True)
class Changes:
    """What changes at one source: before the run, and while it runs.

    `absent`: what the source does not show all of that time.
    """

    before: list[Change] = field(default_factory=list)
    meanwhile: list[Change] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)

    @classmethod
    def choose(cls, rng: random.Random, mirror: Mirror, number: int, *, calm: bool) -> Changes:
        """Choose them, and make them in the mirror."""
        before = mirror.plan(rng, calm=calm)
        if number == LATE_ROW_HIDDEN_IN:
            before.append(mirror.hide(mirror.visible[-1]))
        elif number == LATE_ROW_HIDDEN_IN + 1:
            before += [*mirror.reveal(), mirror.grow(80)]
        absent = mirror.absent()
        meanwhile = mirror.plan(rng, calm=True) if rng.random() < 0.35 else []
        return cls(before, meanwhile, absent | mirror.absent())


@dataclass(frozen=True, slots=True)
class Round:
    """What one round does. Times are seconds from the start of the run."""

    number: int
    changes: dict[str, Changes]
    meanwhile_after: float
    faults: dict[str, dict[str, Any]]
    full: bool
    second_after: float | None
    pause_s: float | None
    outage_s: float | None
    disturbance: Disturbance
    damage: str | None
    where: float
    verify: bool
    look_after: float | None
    timezone: str

    @classmethod
    def choose(cls, seed: int, number: int, mirrors: dict[str, Mirror]) -> Round:
        """Choose it, from seed and number alone; the first source is the one in the storm's eye."""
        rng = random.Random(f"{seed}-{number}")
        first, second = list(mirrors)[:2]
        # The choices of one seed stay what they are when a source is added.
        own = {name: random.Random(f"{seed}-{number}-{name}") for name in mirrors}
        own[first] = own[second] = rng
        chosen = cls(
            number=number,
            changes={
                name: Changes.choose(
                    own[name], mirror, number, calm=name != first or number in SPECIAL
                )
                for name, mirror in mirrors.items()
            },
            meanwhile_after=rng.uniform(0.5, 3.0),
            faults={
                name: choose_faults(own[name]) if name == first or own[name].random() < 0.3 else {}
                for name in mirrors
            },
            full=rng.random() < 0.3,
            second_after=rng.uniform(0, 1.5) if rng.random() < 0.2 else None,
            pause_s=rng.uniform(0.5, 3.0) if rng.random() < 0.15 else None,
            outage_s=rng.uniform(1.0, 3.0) if rng.random() < 0.15 else None,
            disturbance=Disturbance.choose(rng),
            damage=rng.choice(("delete", "truncate", "flip")) if rng.random() < 0.2 else None,
            where=rng.random(),
            verify=rng.random() < 0.3,
            look_after=rng.uniform(0.5, 3.0) if rng.random() < 0.4 else None,
            timezone=rng.choice(TIMEZONES),
        )
        special = dict(SPECIAL.get(number, {}))
        if "faults" in special:
            special["faults"] = {**chosen.faults, first: special["faults"]}
        return replace(chosen, **special)

    @property
    def changes_meanwhile(self) -> bool:
        """Whether a source changes while the run reads it."""
        return any(changes.meanwhile for changes in self.changes.values())

    @property
    def is_quiet(self) -> bool:
        """Whether nothing hinders the run from being complete; slow answers and pauses do not."""
        harmful = set().union(*self.faults.values()) - HARMLESS
        return not (harmful or self.outage_s or self.changes_meanwhile or self.disturbance.codes)

    def __str__(self) -> str:
        done: Counter[str] = Counter()
        for changes in self.changes.values():
            for action, body in [*changes.before, *changes.meanwhile]:
                done[action] += body.get("n", 1)
        words = [f"{action} {count}" for action, count in sorted(done.items())]
        faults = set().union(*self.faults.values())
        parts = (
            " ".join(words) + (", meanwhile too" if self.changes_meanwhile else ""),
            " ".join(
                sorted(name for name in faults if not name.startswith(("retry_after", "slow_s")))
            ),
            "full" if self.full else "",
            "two at once" if self.second_after is not None else "",
            f"paused {self.pause_s:.1f} s" if self.pause_s is not None else "",
            f"outage of {self.outage_s:.1f} s" if self.outage_s is not None else "",
            str(self.disturbance),
        )
        return "; ".join(part for part in parts if part)


CALM: dict[str, Any] = {
    "full": False,
    "second_after": None,
    "pause_s": None,
    "outage_s": None,
    "disturbance": Disturbance(),
    "damage": None,
    "verify": False,
    "look_after": None,
}
SPECIAL: dict[int, dict[str, Any]] = {
    # A slow source, and a kill in the middle of the list, after the first commit.
    1: CALM
    | {
        "faults": {
            "slow": 0.6, "slow_seconds": 0.6, "reset": 0.02, "error_500": 0.02, "error_503": 0.02,
            "truncated": 0.02, "html_200": 0.02,
        },
        "disturbance": Disturbance.at("commit.applied"),
        "look_after": 8.0,
    },
    # The run that has the lock stands still; another has to be turned away.
    2: CALM
    | {"faults": {"slow": 0.4, "slow_seconds": 0.3}, "second_after": 0.0, "pause_s": 2.0},
    # Everything refuses for a while, and some of it all the time; late rows show themselves.
    3: CALM
    | {
        "faults": {
            "error_429": 0.01, "error_502": 0.03, "reset": 0.03, "truncated": 0.03,
            "invalid_json": 0.03, "retry_after": "fraction", "retry_after_seconds": 0.4,
        },
        "outage_s": 2.5,
        "full": True,
    },
    # A file is lost, verify names it; the run that heals it is killed on its way.
    4: CALM | {"damage": "delete", "verify": True, "disturbance": Disturbance.at("manifest.linked", 2)},
    5: CALM | {"damage": "flip", "verify": True, "faults": {}},
}  # fmt: skip
"""The first rounds differ from the chosen ones, so that a short storm too has every kind."""
