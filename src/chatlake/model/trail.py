"""The trail of a list: its last items, whose ids were seen and from where the list can continue.

A pager remembers a thousand ids, to drop what an overlapping page shows again, and two pages of
items, to continue from one of them. Both are bounded, however long the list is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

PAGE_LIMIT = 100  # more is undocumented (api-behaviour)
_REMEMBERED = 10 * PAGE_LIMIT
_TRAIL = 2 * PAGE_LIMIT


class HasId(Protocol):
    """An item of a list."""

    @property
    def id(self) -> str:
        """Its id, which may also be a cursor."""
        ...


T = TypeVar("T", bound=HasId)


class Trail(Generic[T]):
    """The last items of a list in `items`, the newest at the end.

    `second(item)`: when the item was created, None if unknown. `is_cursor(item)`:
    whether the server knows the item by its id.
    """

    def __init__(self, second: Callable[[T], int | None], is_cursor: Callable[[T], bool]) -> None:
        self.items: list[T] = []
        self._second = second
        self._is_cursor = is_cursor
        self._recent: dict[str, None] = {}

    def has_seen(self, item_id: str) -> bool:
        """Whether one of the last thousand items has this id."""
        return item_id in self._recent

    def ends_with(self, item: T | None) -> bool:
        """Whether this is the very last item: nothing is known to follow it."""
        return item is not None and self.items[-1:] == [item]

    def last_cursor(self) -> T | None:
        """Return the last item that the server can be asked to continue after."""
        return next((item for item in reversed(self.items) if self._is_cursor(item)), None)

    def fresh(self, items: Sequence[T]) -> list[T]:
        """Return the items that were not seen; of those with one id, all that differ."""
        ids = {item.id for item in items}
        if len(ids) == len(items) and self._recent.keys().isdisjoint(ids):
            return list(items)  # the usual case, at a tenth of the time
        fresh: list[T] = []
        by_id: dict[str, list[T]] = {}
        for item in items:
            same = by_id.setdefault(item.id, [])
            if item.id not in self._recent and item not in same:
                same.append(item)
                fresh.append(item)
        return fresh

    def remember(self, items: Sequence[T]) -> None:
        """Add the items of a page that was accepted."""
        known = self._recent
        self.items += [item for item in items if item.id not in known]
        del self.items[:-_TRAIL]
        known |= dict.fromkeys(item.id for item in items)
        for item_id in list(islice(known, max(0, len(known) - _REMEMBERED))):
            del known[item_id]

    def places(self, fresh: Sequence[T], *, by_time: bool) -> list[tuple[T, T | None]]:
        """Return the cursors to continue from, the best first, each with the item after it.

        `fresh`: new items behind the trail. `by_time`: the cursor goes by time, so the last item
        of an earlier second is the best.
        """
        items = [*self.items, *fresh]
        usable = [place for place in range(len(items)) if self._is_cursor(items[place])]
        if not usable:
            return []
        last = usable[-1]
        after_last = items[last + 1] if last + 1 < len(items) else None
        options: list[tuple[T, T | None]] = []
        if by_time:
            second = self._second(items[-1])
            earlier = [p for p in usable if self._second(items[p]) != second]
            if earlier:
                options.append((items[earlier[-1]], items[earlier[-1] + 1]))
        if len(usable) > 1:
            options.append((items[usable[-2]], items[usable[-2] + 1]))
        options.append((items[last], after_last))
        return options

    def before_last(self, *, earlier_second: bool) -> tuple[T, T] | None:
        """Return the last cursor before the last item, and the item after it; None without one.

        `earlier_second`: only an item of another second than the last item's counts.
        """
        items = self.items
        last = len(items) - 1
        places = [
            place
            for place in range(last)
            if self._is_cursor(items[place])
            and not (earlier_second and self._second(items[place]) == self._second(items[last]))
        ]
        return (items[places[-1]], items[places[-1] + 1]) if places else None

    def back_by(self, steps: int) -> T | None:
        """Return the item `steps` before the last one, or else the first.

        None if the server does not know that item by its id.
        """
        item = self.items[max(0, len(self.items) - 1 - steps)]
        return item if self._is_cursor(item) else None

    def begins_again(self, items: Sequence[T], at: T) -> bool:
        """Whether a page starts the list again instead of following the item `at`."""
        if any(item.id == at.id for item in items):
            return False
        first, last, here = (self._second(item) for item in (self.items[0], self.items[-1], at))
        begin = self._second(items[0])
        if first is None or last is None or here is None or begin is None or first == last:
            return False
        return begin < here if first < last else begin > here
