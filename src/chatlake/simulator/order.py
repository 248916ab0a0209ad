"""The order of the list: by index, except for completions with a changed creation time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class ListOrder:
    """Which index is at which place, oldest first, and the times that were set.

    `created` gives the creation of an index in UTC seconds. Nothing is kept in memory until a
    completion is dated.
    """

    created: Callable[[int], int]
    dated: dict[int, int] = field(default_factory=dict)
    undated: set[int] = field(default_factory=set)
    _sorted: list[int] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)

    def date(self, index: int, created: int | None) -> None:
        """Give it this time; None: no time, but its place as before."""
        if created is None:
            self.undated.add(index)
            return
        self.undated.discard(index)
        self.dated[index] = created
        self._sorted = []

    def indices(self, total: int) -> Sequence[int]:
        """All `total` indices in their order."""
        if not self.dated:
            return range(total)
        if len(self._sorted) != total:
            self._sorted = sorted(range(total), key=lambda index: (self.created(index), index))
            self._places = {index: place for place, index in enumerate(self._sorted)}
        return self._sorted

    def place(self, index: int, total: int) -> int:
        """The place of `index` among the `total` of them."""
        self.indices(total)
        return self._places[index] if self.dated else index
