"""Paging as a state machine without I/O.

Feed it each decoded page; it says which items are new, where to go on, and when the list has
ended. It raises where a silent end would lose data: a page without items that claims more, a
cursor that repeats (the official client's pager stops silently on the first; api-behaviour).
A page that was refused leaves the state as it was, so the same page may be asked for again.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from chatlake.errors import InvalidResponseError
from chatlake.model.objects import Page

PAGE_LIMIT = 100  # more is undocumented (api-behaviour)
_REMEMBERED = 10 * PAGE_LIMIT


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


class Pager:
    """Where a list stands: `cursor` is the id to continue after, `done` whether it has ended.

    A full page is never taken for the last, whatever it says: an empty page after it is, a short
    one, or the same again. Where the server does not say whether there is more, only an empty page
    is the end, or a short one that is sent again: such a server sends all that it has, whatever it
    is asked to go on from.
    """

    def __init__(self, after: str | None = None, *, limit: int = PAGE_LIMIT) -> None:
        self.cursor = after
        self.done = False
        self._limit = limit
        self._cursors = set() if after is None else {after}
        self._recent: dict[str, None] = {}

    def feed(self, page: Page[T]) -> list[T]:
        """Take a page; return its items that the last thousand before it did not hold.

        Of items with one id in one page all that differ are returned: dropping one might lose it.
        InvalidResponseError: an empty page that claims more, or a cursor that repeats.
        """
        if not page.items:
            if page.has_more:
                raise InvalidResponseError("the service sent an empty page and says there is more")
            self.done = True
            return []
        last = page.items[-1].id
        has_more = page.has_more
        is_full = len(page.items) >= self._limit
        if has_more is None:
            has_more = last not in self._cursors or is_full
        elif is_full and not has_more:
            # One more request is little against a list that was cut where the page was.
            has_more = last not in self._cursors
        if has_more and last in self._cursors:
            raise InvalidResponseError(f"the service repeats the page that ends with {last}")
        fresh: list[T] = []
        by_id: dict[str, list[T]] = {}
        for item in page.items:
            same = by_id.setdefault(item.id, [])
            if item.id not in self._recent and item not in same:
                same.append(item)
                fresh.append(item)
        self.cursor = last
        self.done = not has_more
        if has_more:
            self._remember(page)
            self._cursors.add(last)
        return fresh

    def _remember(self, page: Page[T]) -> None:
        self._recent |= dict.fromkeys(item.id for item in page.items)
        for item_id in list(self._recent)[:-_REMEMBERED]:
            del self._recent[item_id]
