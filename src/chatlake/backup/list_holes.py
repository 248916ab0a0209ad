"""Rows that make every page with them fail: how the rows around them are read anyway.

Such a row has no id to ask for. Four ways lead to its neighbours, tried in this order:

    smaller pages            read up to the row before it
    after the row before     a cursor that goes by time skips all rows of its second
    from the other end       read back to the row behind it
    none of these            the rows in between are one named gap of unknown length

A smaller page must show a known row together with an unknown one. Otherwise a cursor that goes by
time could skip rows unnoticed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from chatlake.backup.list_gaps import list_error
from chatlake.backup.list_requests import ListedPage, ListRequests, second_of
from chatlake.errors import ChatlakeError, CompletionError, SourceUnreachableError
from chatlake.model.objects import Completion
from chatlake.model.pages import Page
from chatlake.model.paging import Pager, StrandedError

PASSING: Final = (CompletionError, SourceUnreachableError, StrandedError)
"""Errors of a page that may be those of one row in it."""
_PIECES: Final = (32, 10, 3, 2, 1)
_SMALLEST_USUAL: Final = 10
_RATE_LIMITED: Final = 429


class ListHoles:
    """Reads around the bad rows of one list.

    `has_turned`: whether the rest came from the other end, newest first.
    """

    def __init__(self, requests: ListRequests) -> None:
        self.has_turned = False
        self._requests = requests
        self._is_blocked = False
        self._refused: tuple[str | None, int] = None, 0  # cursor and limit of the last bad page

    async def around(
        self, pager: Pager[Completion], error: ChatlakeError, listed_after: int | None
    ) -> AsyncIterator[ListedPage]:
        """Yield the rows around a row that makes every page fail.

        `error`: the page's error; it is raised as the list's error if the whole list is broken.
        `listed_after`: creation time after which the list is read; None: all of it.
        """
        requests = self._requests
        is_of_all = isinstance(error, CompletionError) and error.status == _RATE_LIMITED
        if is_of_all or (isinstance(error, SourceUnreachableError) and not requests.has_answered):
            raise list_error(error) from error
        async for page in self._in_pieces(pager, "asc"):
            yield page
        if pager.done or not self._is_blocked:
            return
        before, cursor, refused = requests.last, pager.cursor, self._refused
        passed = await self._past_the_second(pager)
        if passed is not None:
            if not await self._answers(self._again(*refused)):
                requests.gaps.note_blocked(before, error, cursor, next(iter(passed.items), None))
            yield passed
            return
        if not await self._gives_what_is_known(pager):
            raise list_error(error) from error
        self.has_turned = True
        after: Completion | None = None
        async for page, oldest in self._from_the_end(pager, error, listed_after):
            after = oldest
            yield page
        requests.gaps.note_blocked(before, error, cursor, after)
        pager.done = True

    async def _in_pieces(self, pager: Pager[Completion], order: str) -> AsyncIterator[ListedPage]:
        """Read a page's worth of rows in ever smaller pieces, as near to the bad row as possible.

        Afterwards `_is_blocked` says whether exactly the next row cannot be fetched. If not, the
        page as a whole was too large, or the problem has passed.
        """
        self._is_blocked = False
        self._refused = pager.cursor, pager.limit
        hidden = len(pager.hidden_after)
        ahead = pager.limit - pager.overlap  # the bad row is among so many
        smallest = pager.limit
        while ahead > 0 and not pager.done:
            rows = next((piece for piece in _PIECES if piece < ahead), 1)
            pager.limit = rows + pager.overlap
            try:
                page = await self._requests.page(pager, order=order, hasty=rows > 1)
            except PASSING:
                self._refused = pager.cursor, pager.limit
                if rows == 1:
                    self._is_blocked = True
                    return
                ahead = rows
                continue
            smallest = min(smallest, pager.limit)
            yield page
            ahead -= max(1, len(page.items))
            if len(pager.hidden_after) > hidden:
                break  # the cursor goes by time, and has passed the second of the bad row
            if ahead > 0 and not pager.overlap:
                self._is_blocked = True  # only one row before it: nothing to overlap with
                return
        else:
            self._requests.shrink(max(smallest, _SMALLEST_USUAL))
        pager.limit = self._requests.limit

    async def _past_the_second(self, pager: Pager[Completion]) -> ListedPage | None:
        """Return the page after the last row's second; None if the cursor is a position."""
        if not pager.ask_after_last():
            return None
        pager.limit = 1
        try:
            page = await self._requests.page(pager, hasty=True)
        except PASSING:
            return None
        pager.limit = self._requests.limit
        if not page.items:
            return None
        pager.ask_for_known()  # the new row must come again, or others of its second are skipped
        return page

    def _again(self, cursor: str | None, limit: int) -> Pager[Completion]:
        pager = self._requests.new_pager(cursor)
        pager.limit = limit
        return pager

    async def _gives_what_is_known(self, pager: Pager[Completion]) -> bool:
        """Whether the list works except for the next row.

        It does if it returns an earlier row again, or its newest row.
        """
        pager.limit = 1
        is_asked = False
        while pager.ask_for_known(earlier_second=is_asked):
            if await self._answers(pager):
                return True
            if is_asked:
                return False
            is_asked = True
        return not is_asked and await self._answers(self._again(None, 1), order="desc")

    async def _answers(self, pager: Pager[Completion], *, order: str = "asc") -> bool:
        try:
            await self._requests.page(pager, order=order, hasty=True)
        except PASSING:
            return False
        return True

    async def _from_the_end(
        self, blocked: Pager[Completion], error: ChatlakeError, listed_after: int | None
    ) -> AsyncIterator[tuple[ListedPage, Completion | None]]:
        """Yield the rows after the bad row, newest first, each page with the oldest row so far.

        With the page that meets the rows read before, it yields None instead of the oldest row.
        """
        pager, oldest = self._requests.new_pager(None), None
        self._is_blocked = False
        while not pager.done and not self._is_blocked:
            try:
                pages = [await self._requests.page(pager, order="desc")]
            except PASSING:
                pages = [page async for page in self._in_pieces(pager, "desc")]
            for page in pages:
                if ascends(page.items):
                    raise list_error(error) from error
                new = [item for item in page.items if not _is_before(item, blocked, listed_after)]
                has_met = len(new) < len(page.items)
                oldest = None if has_met else new[-1] if new else oldest
                yield Page(tuple(new), page.has_more, malformed=page.malformed), oldest
                if has_met:
                    self._requests.gaps.note_hidden(pager.hidden_after)
                    return
        self._requests.gaps.note_hidden(pager.hidden_after)


def _is_before(item: Completion, blocked: Pager[Completion], listed_after: int | None) -> bool:
    if blocked.has_seen(item.id) or item.id == blocked.cursor:
        return True
    return listed_after is not None and item.created < listed_after


def _seconds(completions: tuple[Completion, ...]) -> list[int]:
    return [second for second in map(second_of, completions) if second is not None]


def descends(completions: tuple[Completion, ...]) -> bool:
    """Whether the rows come newest first."""
    known = _seconds(completions)
    return len(known) > 1 and known[0] > known[-1]


def ascends(completions: tuple[Completion, ...]) -> bool:
    """Whether the rows come oldest first."""
    known = _seconds(completions)
    return len(known) > 1 and known[0] < known[-1]
