"""Oddities of single completions: set by id at run time, or for a seeded share of all.

They do not change the store: `World.truth` shows what a correct server would return.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from chatlake.simulator import malformed, refusals
from chatlake.simulator.dice import Dice
from chatlake.simulator.faults import Faults

ITEM_ROUTES = frozenset({"get", "messages"})
OBJECT_ROUTES = frozenset({"list", "get", "messages"})


@dataclass(slots=True)
class Oddities:
    """Refusals, malformed objects and shrunk messages, by index.

    `counts` says how often each occurred: refused, malformed, shrunk; and for pages that depend on
    the kind of cursor: time_page, unknown_after. It starts again with `set_faults`.
    """

    dice: Dice
    faults: Faults = field(default_factory=Faults)
    counts: Counter[str] = field(default_factory=Counter)
    _refused: dict[int, dict[str, str]] = field(default_factory=dict)
    _malformed: dict[int, dict[tuple[str, int], str]] = field(default_factory=dict)
    _kept: dict[int, int] = field(default_factory=dict)

    def set_faults(self, faults: Faults) -> None:
        """Replace the shares; what was set by id stays."""
        self.faults = faults
        self.counts.clear()

    # Set by id

    def refuse(self, index: int, way: object, routes: Iterable[str]) -> None:
        """From now on refuse it on these routes (get, messages); `way`: see `refusals.WAYS`.

        ValueError for an unknown way or route.
        """
        way = refusals.checked_way(way)
        ways = dict.fromkeys(_checked(routes, ITEM_ROUTES), way)
        self._refused[index] = self._refused.get(index, {}) | ways

    def malform(self, index: int, kind: str, routes: Iterable[str], position: int) -> None:
        """From now on spoil it on these routes; of its messages, the one at `position`.

        `kind`: see `malformed.KINDS`. ValueError for an unknown kind or route.
        """
        kind = malformed.checked_kind(kind)
        places = {
            (route, position if route == "messages" else 0): kind
            for route in _checked(routes, OBJECT_ROUTES)
        }
        self._malformed[index] = self._malformed.get(index, {}) | places

    def shrink(self, index: int, keep: int) -> None:
        """From now on return only its first `keep` messages; ValueError below 0."""
        if keep < 0:
            raise ValueError(f"{keep} messages cannot be kept")
        self._kept[index] = keep

    def restore(self, index: int) -> None:
        """Return it unchanged again; a share of `Faults` may still affect it."""
        for odd in (self._refused, self._malformed, self._kept):
            odd.pop(index, None)

    # Used when responding

    def refusal(self, index: int, route: str) -> str | None:
        """How it is refused on this route; None if it is not."""
        if index in self._refused:
            way = self._refused[index].get(route)
            if way is not None:
                return way
        faults = self.faults
        if not self._hit(b"refused", index, faults.refused_ids):
            return None
        if route not in faults.refused_routes.split(","):
            return None
        if faults.refused_with != "mixed":
            return faults.refused_with
        return self._one_of(refusals.MIXED, b"refused-with", index)

    def spoil(self, body: bytes, name: bytes, index: int, route: str, position: int = 0) -> bytes:
        """The object as sent: `body`, whose id is `name`, perhaps spoiled."""
        kind = self._malformation(index, route, position)
        if kind is None:
            return body
        self.counts["malformed"] += 1
        return malformed.malformed(body, kind, name)

    def kept(self, index: int, count: int, *, edited: bool) -> int:
        """How many of its `count` messages are returned; `edited`: its metadata was replaced."""
        keep = self._kept.get(index, count)
        if edited and self._hit(b"shrunk", index, self.faults.shrunk):
            keep = min(keep, int(self.dice.share(b"kept", index) * 2))
        if keep >= count:
            return count
        self.counts["shrunk"] += 1
        return keep

    def is_odd(self, index: int, route: str, count: int) -> bool:
        """Whether this completion, with its `count` messages, is malformed anywhere on a route."""
        return any(
            self._malformation(index, route, position) is not None
            for position in range(count if route == "messages" else 1)
        )

    def _malformation(self, index: int, route: str, position: int) -> str | None:
        kind = self._malformed.get(index, {}).get((route, position))
        if kind is not None:
            return kind
        faults = self.faults
        if route == "messages":
            hit = position == 0 and self._hit(b"odd-message", index, faults.malformed_messages)
        else:
            hit = self._hit(b"odd-row", index, faults.malformed_rows)
        if not hit:
            return None
        if faults.malformed_as != malformed.MIXED:
            return faults.malformed_as
        return self._one_of(malformed.KINDS, b"malformed-as", index)

    def _hit(self, purpose: bytes, index: int, share: float) -> bool:
        return bool(share) and self.dice.share(purpose, index) < share

    def _one_of(self, choices: tuple[str, ...], purpose: bytes, index: int) -> str:
        return choices[int(self.dice.share(purpose, index) * len(choices))]


def _checked(routes: Iterable[str], allowed: frozenset[str]) -> set[str]:
    asked = set(routes)
    if not asked or asked - allowed:
        raise ValueError(f"routes are {', '.join(sorted(allowed))}, not {', '.join(sorted(asked))}")
    return asked
