"""What a source was made to hold, known without asking it, and what may change there."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

from chatlake.simulator.scenario import Scenario
from chatlake.simulator.world import World
from tests.soak.exact import exact, without

Change = tuple[str, dict[str, Any]]
"""An admin action of the simulator and its body."""


class Mirror:
    """The ids that a source shows, hides and has deleted, oldest first, and what they may be like."""

    def __init__(self, scenario: Scenario) -> None:
        self._world = World(scenario)
        self.visible = [self._name(index) for index in range(scenario.completions)]
        self.hidden: list[str] = []
        self.deleted: list[str] = []
        self.ever_hidden: set[str] = set()
        self._edits: dict[str, list[dict[str, str]]] = {}
        self._missed: Counter[str] = Counter()

    def plan(self, rng: random.Random, *, calm: bool) -> list[Change]:
        """Choose changes and make them here; somebody has to make them at the source too."""
        changes: list[Change] = []
        grown = rng.choice((0, 1, 3, 8, 20) if calm else (0, 1, 5, 60, 150, 300))
        if grown:
            changes.append(self.grow(grown))
        # Often the newest: there are the cursor, the late rows and the neighbours of both.
        for name in self._some(rng, rng.choice((0, 1, 3, 10, 40))):
            pairs = {f"k{rng.randrange(4)}": rng.choice(("", "x", "Größe", str(rng.random())))}
            changes.append(self.edit(name, pairs))
        changes += map(self.delete, self._some(rng, rng.choice((0, 0, 1, 2, 6))))
        changes += self.reveal(rng.randrange(4))
        for name in self._some(rng, rng.choice((0, 0, 1, 3))):
            changes.append(self.hide(name))
        return changes

    def grow(self, count: int) -> Change:
        """Add so many, created now."""
        self.visible += self._world.grow(count)
        return "grow", {"n": count}

    def edit(self, name: str, pairs: dict[str, str]) -> Change:
        """Replace the metadata of one."""
        self._edits.setdefault(name, []).append(pairs)
        return "edit", {"id": name, "metadata": pairs}

    def delete(self, name: str) -> Change:
        """Delete a visible one."""
        self.visible.remove(name)
        self.deleted.append(name)
        return "delete", {"id": name}

    def message_count(self, name: str) -> int:
        """How many messages one has when all of them are answered."""
        index = self._world.index_of(name)
        assert index is not None
        return self._world.message_count(index)

    def hide(self, name: str) -> Change:
        """Hide a visible one: a row that comes late."""
        self.visible.remove(name)
        self.hidden.append(name)
        self.ever_hidden.add(name)
        return "hide", {"id": name}

    def reveal(self, count: int | None = None) -> list[Change]:
        """Show those that were hidden first; all by default."""
        shown = self.hidden[:count]
        del self.hidden[: len(shown)]
        self.visible += shown
        return [("reveal", {"id": name}) for name in shown]

    def absent(self) -> set[str]:
        """What the source does not show."""
        return {*self.hidden, *self.deleted}

    def sweep_begins(self, absent: Iterable[str]) -> None:
        """Count a full sweep, which may miss what is absent at any time while it runs."""
        self._missed.update(absent)

    def sweep_was_complete(self) -> None:
        """A sweep to the end, while nothing changed, has seen what is visible."""
        for name in self.visible:
            self._missed.pop(name, None)

    def may_be_marked(self, name: str) -> bool:
        """Whether two full sweeps can have missed it since one must have seen it."""
        return self._missed[name] >= 2

    def once_sent(self, name: str, sent: dict[str, Any]) -> bool:
        """Whether the source has ever held `sent` under this name; for what it no longer has."""
        index = self._world.index_of(name)
        if index is None:
            return False
        wanted = exact(self._world.record(index))
        metadata = [wanted["completion"]["metadata"], *self._edits.get(name, [])]
        sent = {**sent, "completion": dict(sent["completion"])}
        return sent["completion"].pop("metadata") in metadata and without(
            sent, "created"
        ) == without(wanted, "created", "metadata")

    def _some(self, rng: random.Random, count: int) -> list[str]:
        """Choose some of the visible: any, among the newest, or neighbours."""
        count = min(count, len(self.visible) // 2)
        if not count:
            return []
        where = rng.random()
        if where < 0.4:
            return rng.sample(self.visible, count)
        if where < 0.8:
            return rng.sample(self.visible[-max(100, count) :], count)
        start = rng.randrange(len(self.visible) - count)
        return self.visible[start : start + count]

    def _name(self, index: int) -> str:
        return self._world.identifier(index).decode()
