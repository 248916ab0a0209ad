"""Paging as a state machine without I/O.

Feed it each decoded page. It says which items are new, which cursor comes next, and when the list
has ended. It raises where a silent end would lose data.

A cursor is not always a place in the list (api-behaviour). Some servers answer `after=X` with the
rows created later than X, and so skip the rows that share X's second. Others answer an unknown X
with an empty page. So, wherever it can, the pager asks not for the rows after the last row, but for
the rows after the last but one, and expects to see the last row again:

    it comes back             the cursor is exact; the overlap costs one row a page
    it does not, and shares   the cursor goes by time: from now on the pager continues from the
    the cursor's second       last row of an earlier second, and drops what it has seen
    the page is empty         the cursor is unknown: StrandedError; `step_back` takes an older one

If one second fills a whole page, there is no earlier second to continue from. The pager then tries
the last row but one again. If the last row is still missing, rows of that second may be hidden, and
`hidden_after` names the place. A refused page leaves the state unchanged, so the same page may be
requested again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from chatlake.errors import InvalidResponseError
from chatlake.model.pages import Page
from chatlake.model.trail import PAGE_LIMIT, HasId, Trail

__all__ = ["PAGE_LIMIT", "Pager", "StrandedError"]

_USUAL_LIMITS = frozenset({10, 20, 25, 50})
"""Sizes at which servers cap a page, whatever limit was requested."""


T = TypeVar("T", bound=HasId)


class StrandedError(Exception):
    """The response does not follow its cursor: it is empty, or starts the list again."""


def _no_second(_item: object) -> int | None:
    return None


def _is_cursor(_item: object) -> bool:
    return True


class Pager(Generic[T]):
    """The position in a list: `cursor` is the id to continue after, `done` whether it has ended.

    `after`: where to start, None for the beginning. `limit`: how many items to request per page.
    `second(item)`: when the item was created, None if unknown. `is_cursor(item)`: whether the
    server knows the item by its id. `checks_caps`: whether one more request follows a short page
    that the server may have capped. `hidden_after`: items after which others of the same second may
    be hidden. A full page with anything new is never taken for the last one, whatever it says. If
    the server does not say whether there is more, only a page without anything new is the end.
    """

    def __init__(
        self,
        after: str | None = None,
        *,
        limit: int = PAGE_LIMIT,
        second: Callable[[T], int | None] = _no_second,
        is_cursor: Callable[[T], bool] = _is_cursor,
        checks_caps: bool = False,
    ) -> None:
        self.cursor = after
        self.done = False
        self.limit = limit
        self.hidden_after: list[T] = []
        self._second = second
        self._checks_caps = checks_caps
        self._from_beginning = after is None
        self._by_time = False
        self._expected: T | None = None
        self._empty_after: str | None = None
        self._is_token = False
        self._claims_more = False
        self._at: T | None = None  # the item that the cursor names
        self._tried: set[str] = set() if after is None else {after}
        self._trail = Trail(second, is_cursor)
        self._largest = 0
        self._steps = 1

    @property
    def ends_in_a_claim(self) -> bool:
        """Whether the server claimed more after the last item but sent nothing."""
        return self._empty_after is not None and self._empty_after == self.cursor

    @property
    def overlap(self) -> int:
        """How many known items the next page must show again: 1 or 0."""
        return int(self._expected is not None)

    def has_seen(self, item_id: str) -> bool:
        """Whether one of the last thousand items has this id."""
        return self._trail.has_seen(item_id)

    def feed(self, page: Page[T]) -> list[T]:
        """Accept a page; return its items that are not among the last thousand before it.

        If items of a page share an id but differ, all are returned: dropping one might lose it.
        StrandedError if the page does not follow its cursor. InvalidResponseError if a page without
        anything new claims that there is more.
        """
        if not page.items:
            return self._feed_empty(page)
        expected = self._expected
        hides: list[T] = []
        shares_second = expected is not None and self._shares_second(expected)
        if self._at is not None and self._trail.begins_again(page.items, self._at):
            raise StrandedError
        if expected is not None and all(item.id != expected.id for item in page.items):
            if shares_second:
                if not self._by_time and self._turn_to_time():
                    return []
                hides.append(expected)
        elif shares_second:
            self._by_time = False
        fresh = self._trail.fresh(page.items)
        more = self._is_more(page, fresh)
        step = self._next(page, fresh) if more else None
        if more and step is None and self._is_end_of_all(page.items, fresh):
            more = False
        if more and step is None:
            raise InvalidResponseError(
                f"the service repeats the page that ends with {page.items[-1].id}"
            )
        self.hidden_after += hides
        self._trail.remember(page.items)
        self._claims_more = page.has_more is True
        self._largest = max(self._largest, len(page.items))
        self._steps = 1
        if step is None:
            self.done = True
            return fresh
        self._go(*step)
        return fresh

    def ask_once_more(self) -> bool:
        """Continue after the very last item, although the list seems to have ended there.

        Returns False if that was already requested.
        """
        last = self._trail.last_cursor()
        if last is None or last.id in self._tried:
            return False
        self.done = False
        self._go(last, None)
        return True

    def ask_after_last(self) -> bool:
        """Continue after the very last item, even if that was already requested.

        Returns False if there is no item, or the server does not know the last one by its id.
        """
        last = self._trail.last_cursor()
        if last is None or not self._trail.ends_with(last):
            return False
        self._go(last, None)
        return True

    def ask_for_known(self, *, earlier_second: bool = False) -> bool:
        """Go back by one item, so that the last one must appear again.

        Returns False before the second item. `earlier_second`: go back to an earlier second, as a
        cursor by time has to.
        """
        place = self._trail.before_last(earlier_second=earlier_second)
        if place is None:
            return False
        at, expected = place
        self._go(at, expected)
        self._tried.discard(expected.id)
        return True

    def step_back(self) -> bool:
        """Continue after an older item, each time twice as far back; False if there is none."""
        while len(self._trail.items) > self._steps + 1:
            self._steps *= 2
            item = self._trail.back_by(self._steps)
            if item is not None and item.id not in self._tried:
                self._go(item, None)
                return True
        return False

    def _feed_empty(self, page: Page[T]) -> list[T]:
        if page.has_more and page.last_id and page.last_id not in self._tried:
            self.cursor = page.last_id  # followed once: a list may contain an empty page
            self._is_token = False
            self._tried.add(page.last_id)
            self._at = None
            return []
        if self.cursor is None:
            if page.has_more:
                raise InvalidResponseError("the service sent an empty page and says there is more")
            self.done = True
            return []
        if page.malformed and page.has_more:
            raise InvalidResponseError("no row of the page can be read")
        is_end = self._is_behind_last() or (self._is_token and not self._claims_more)
        if is_end and not page.has_more:
            self.done = True
            return []
        if is_end and not page.malformed:
            self._empty_after = self.cursor
        expected = self._expected
        if expected is None or self._second(expected) is None or not self._shares_second(expected):
            raise StrandedError
        if self._by_time or not self._turn_to_time():
            self.hidden_after.append(expected)
            self.done = True
        return []

    def _is_more(self, page: Page[T], fresh: Sequence[T]) -> bool:
        size = len(page.items)
        is_full = size >= self.limit or (0 < self._largest <= size and self._largest > 1)
        if not fresh:
            unsure = size >= self.limit or not self._is_behind_last()
            return page.has_more is True or (page.has_more is None and unsure)
        if page.has_more is not False:
            return True
        # One more request costs little compared with a list that was cut off at the page.
        is_first_of_all = self._from_beginning and not self._largest
        may_be_capped = size in _USUAL_LIMITS or (is_first_of_all and size >= self.limit // 2)
        return is_full or (self._checks_caps and may_be_capped)

    def _is_end_of_all(self, items: Sequence[T], fresh: Sequence[T]) -> bool:
        """Whether a page is the last one although it claims more, as the server always does.

        Either nothing came after its last item before, or a cursor by time returns that item's
        second again.
        """
        if items[-1].id == self._empty_after:
            return True
        second = self._second(items[-1])
        is_one_second = second is not None and all(self._second(item) == second for item in items)
        is_whole = len(items) < self.limit
        return not fresh and self._is_behind_last() and is_one_second and is_whole

    def _next(self, page: Page[T], fresh: Sequence[T]) -> tuple[T | str, T | None] | None:
        """Return the next cursor and the item that must follow it; None if nothing is left."""
        if page.next_cursor is not None and page.next_cursor not in self._tried:
            return page.next_cursor, None
        for at, expected in self._trail.places(fresh, by_time=self._by_time):
            if at.id not in self._tried:
                return at, expected
        return None

    def _turn_to_time(self) -> bool:
        """Treat the cursor as a time: continue from an earlier second; False if there is none."""
        self._by_time = True
        places = self._trail.places((), by_time=True)
        if not places:
            return False
        at, expected = places[0]
        if at.id in self._tried or self._second(at) == self._second(self._trail.items[-1]):
            return False
        self._go(at, expected)
        return True

    def _go(self, at: T | str, expected: T | None) -> None:
        self._is_token = isinstance(at, str)
        self._at = None if isinstance(at, str) else at
        self.cursor = at if isinstance(at, str) else at.id
        self._expected = expected
        self._tried.add(self.cursor)

    def _is_behind_last(self) -> bool:
        """Whether the cursor is the very last item: nothing is known to follow it."""
        return self._trail.ends_with(self._at)

    def _shares_second(self, expected: T) -> bool:
        if self._at is None:
            return False
        return self._second(self._at) == self._second(expected)
