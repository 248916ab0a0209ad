"""Sources that are odd in one way each, and what a run has to make of it.

A kind is a class. Before each night `evening` changes what the source holds and how it answers;
`failing` are then the completions that the run cannot have, and has to name. Whatever else there is
has to be in the lake in the morning.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Set
from typing import Any, ClassVar

from chatlake.simulator.scenario import Scenario
from tests.soak.mirror import Change
from tests.soak.source import Source

NIGHTS = 4
SWEEPS = (3, 4)
"""Two in a row: what both missed is marked deleted."""
NOW = 1_760_054_380
COMPLETIONS = 250


class OddSource(Source):
    """A source with one oddity. `kind`: its name; `answer`: what the simulator counts of it.

    `lookback`: how far back each night lists. `failing`: ids that a run has to name now.
    """

    kind: ClassVar[str]
    answer: ClassVar[str]
    lookback: ClassVar[str] = "10s"
    odd: ClassVar[dict[str, Any]] = {}

    def __init__(self, seed: int) -> None:
        scenario = {
            "completions": COMPLETIONS,
            "seed": seed,
            "days": 2.0,
            "now": NOW,
            "image_share": 0.05,
            "image_bytes": 2000,
        }
        super().__init__(self.kind, Scenario(**scenario | self.odd))
        self.failing: set[str] = set()
        self._rng = random.Random(f"{seed}-{self.kind}")

    def evening(self, night: int) -> dict[str, Any]:
        """Change things before a night (1 to NIGHTS); returns the faults of the night."""
        raise NotImplementedError

    def wrong_names(self, named: Set[str], complete: Set[str]) -> str | None:
        """What is wrong with the failures that the run named; `complete`: what the lake holds."""
        if named == self.failing:
            return None
        return f"named {sorted(named - self.failing)}, did not name {sorted(self.failing - named)}"

    def recover(self) -> None:
        """Answer all that was failing as it should be; what else is odd stays."""
        self.apply(("restore", {"id": name}) for name in sorted(self.failing))
        self.failing.clear()

    def _grow(self, count: int) -> list[str]:
        self.apply([self.mirror.grow(count)])
        return self.mirror.visible[-count:]

    def _some(self, count: int, *, messages: int = 0) -> list[str]:
        """Choose some that do not fail, each with so many messages at least, not the newest."""
        fit = [
            name
            for name in self.mirror.visible[: COMPLETIONS // 2]
            if name not in self.failing and self.mirror.message_count(name) >= messages
        ]
        return self._rng.sample(fit, count)


class TimeCursors(OddSource):
    """Three completions a second, and a cursor that continues with the next second."""

    kind = "time"
    answer = "time_page"
    odd: ClassVar[dict[str, Any]] = {"cursors": "time", "days": COMPLETIONS / 3 / 86_400}

    def evening(self, night: int) -> dict[str, Any]:
        """Some come, all of one second; some go, the newest too."""
        if night > 1:
            gone = [*self._some(2), self.mirror.visible[-1]]
            self.apply([self.mirror.delete(name) for name in gone])
            self._grow(30)
        return {}


class UnknownCursors(OddSource):
    """An unknown cursor gives an empty list, and the rows to continue from are deleted."""

    kind = "unknown"
    answer = "unknown_after"
    odd: ClassVar[dict[str, Any]] = {"unknown_after": 200}

    def evening(self, night: int) -> dict[str, Any]:
        """The newest are deleted, five come; in the last nights a cursor is lost in the middle."""
        if night > 1:
            newest = self.mirror.visible[-4 * night :]
            self.apply([self.mirror.delete(name) for name in newest])
            self._grow(5)
        if night == NIGHTS:
            return {"lost_cursor": 2.0, "at_most": 1, "routes": "list"}
        if night == NIGHTS - 1:
            return {"hollow_page": 1.0, "at_most": 1, "routes": "list"}
        return {}


class Shrinking(OddSource):
    """Metadata is edited, and fewer messages are answered than before."""

    kind = "shrinking"
    answer = "shrunk"
    lookback = "72h"  # an edit is found where the list is read again

    def evening(self, night: int) -> dict[str, Any]:
        """In the second night some have one message left, some none; in the third these are back."""
        if night == 2:
            some = self._some(6, messages=2)
            self.failing = set(some[4:])
            for name in some:
                keep = 0 if name in self.failing else 1
                edited = self.mirror.edit(name, {"stage": f"edited, {keep} left"})
                self.apply([edited, ("shrink", {"id": name, "keep": keep})])
        elif night == 3:
            self.recover()
        if night > 1:
            self._grow(4)
        return {}


class Refusals(OddSource):
    """Some ids are refused, in every way, while the list and all others are served."""

    kind = "refusals"
    answer = "refused"

    def evening(self, night: int) -> dict[str, Any]:
        """More each night, also of the newest; some are served again."""
        if night == 1:
            self._refuse_some(("302", "403", "405", "410", "501", "reset"), ["messages"])
            self._refuse_some(("403", "405", "reset"), ["get", "messages"])
            return {}
        added = self._grow(6)
        self._refuse({added[0]: "reset", added[1]: "403"}, ["get", "messages"])
        if night == 3:
            served = self._rng.sample(sorted(self.failing), 3)
            self.apply(("restore", {"id": name}) for name in served)
            self.failing -= set(served)
        return {}

    def _refuse_some(self, ways: tuple[str, ...], routes: list[str]) -> None:
        # None with 404: a run waits seconds for what was just listed and is not there yet.
        self._refuse(dict(zip(self._some(len(ways)), ways, strict=True)), routes)

    def _refuse(self, ways: dict[str, str], routes: list[str]) -> None:
        self.failing |= ways.keys()
        self.apply(
            ("refuse", {"id": name, "status": way, "routes": routes}) for name, way in ways.items()
        )


class Malformed(OddSource):
    """Rows of the list that cannot be read, and messages without an id."""

    kind = "malformed"
    answer = "malformed"
    lookback = "72h"  # what has no id is found again where the list is read again

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._bare: set[str] = set()

    def evening(self, night: int) -> dict[str, Any]:
        """Malformed rows lie between sound ones, later also among the newest."""
        if night == 1:
            kinds = ("no-id", "null", "nan", "invalid-utf8", "deep", "number", "duplicate-key")
            for place, kind in enumerate(kinds):
                self._malform(self.mirror.visible[11 + 31 * place], kind)
            self._bare = set(self._some(3, messages=1))
            routes = {"routes": ["messages"], "kind": "no-id"}
            self.apply(("malform", {"id": name, **routes}) for name in sorted(self._bare))
        else:
            if night == SWEEPS[0]:
                # It is stored since the first night, and no sweep can read it: it is not deleted.
                name = next(name for name in self._some(4) if name not in self._bare)
                self._malform(name, "null")
            added = self._grow(5)
            self._malform(added[1], {2: "empty-id", 3: "array", 4: "string"}[night])
        return {}

    def wrong_names(self, named: Set[str], complete: Set[str]) -> str | None:
        """A row that is not stored is named, though its id may not be known."""
        lacking = self.failing - complete
        # A row whose id can be read may be met twice, by its place and by its id.
        if len(lacking) <= len(named) <= 2 * len(lacking):
            return None
        return f"{len(lacking)} rows are not stored, and named are {sorted(named)}"

    def truth(self) -> Iterator[dict[str, Any]]:
        """As `Source.truth`, the bare messages as they are sent."""
        for record in super().truth():
            if record["completion"]["id"] in self._bare:
                del record["messages"][0]["id"]
            yield record

    def _malform(self, name: str, kind: str) -> None:
        self.failing.add(name)
        change: Change = ("malform", {"id": name, "kind": kind, "routes": ["list", "get"]})
        self.apply([change])


ODD_SOURCES: tuple[type[OddSource], ...] = (
    TimeCursors, UnknownCursors, Shrinking, Refusals, Malformed,
)  # fmt: skip
KINDS: tuple[str, ...] = tuple(each.kind for each in ODD_SOURCES)
