"""Listing: the pages of a source's list, read to their end through all that hinders it.

The list is read ascending from a completion that the lake holds. What may go wrong on the way, and
what is done about it:

    the cursor is unknown         an older one is taken, at last the beginning
    the limit is refused          smaller ones are tried
    a row cannot be read          it is named, and the rest of its page is used
    a page cannot be fetched      it is asked for in smaller pieces; where one row alone is refused,
                                  the rest is read from the other end, and the place is named
    the server ignores the order  everything is listed

An error ends the list only where none of this helps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

from chatlake.backup.items import SourceJob
from chatlake.backup.list_gaps import ListGaps, list_error
from chatlake.backup.ports import CompletionApi, LakeStore
from chatlake.errors import (
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
    InvalidResponseError,
    RequestRejectedError,
    RetiredError,
    RetriesExhaustedError,
    SourceUnreachableError,
    UnusableListError,
)
from chatlake.model.manifest import Cursor
from chatlake.model.objects import (
    Completion,
    Page,
    read_completion_page,
    read_readable_completions,
)
from chatlake.model.paging import PAGE_LIMIT, Pager, StrandedError

logger = logging.getLogger(__name__)

SMALLER_LIMITS: Final = (50, 20, 10)
_PIECES: Final = (32, 10, 3, 1)
CLOCK_SLACK_S: Final = 3600
"""How far a service's clock may be ahead of ours before a time counts as one of the future."""
_BEGINNINGS: Final = 3
"""How often a list is begun from its beginning before it is given up."""
_OUT_OF_PLACE = (CompletionNotFoundError, RequestRejectedError, RetiredError)
_PASSING = (CompletionError, SourceUnreachableError, StrandedError)
_RATE_LIMITED: Final = 429

ListedPage = Page[Completion]


class Listing:
    """The list of one job's source, read once.

    `ascending`: whether the list comes oldest first, without a break. `listed_after`: creation time
    (UTC seconds) behind which it was read, None for all of it. `gaps`: what it does not show.
    """

    def __init__(self, job: SourceJob, api: CompletionApi, lake: LakeStore) -> None:
        self.ascending = True
        self.listed_after: int | None = None
        self.gaps = ListGaps(job.name)
        self._job = job
        self._api = api
        self._lake = lake
        self._limit = PAGE_LIMIT
        self._has_answered = False
        self._beginnings = 0
        self._last: Completion | None = None

    async def pages(self) -> AsyncIterator[ListedPage]:
        """Yield each page with its new rows only.

        SourceUnreachableError, UnusableListError or AccountError where the list cannot be read.
        """
        starts = self._starts()
        pager = self._pager_at(next(starts, None))
        while not pager.done:
            after = pager.cursor
            try:
                page = await self._page(pager)
            except StrandedError:
                pager = self._further_back(pager, starts)
                continue
            except _OUT_OF_PLACE as error:
                if self._lower_limit(after, error):
                    starts = self._starts()
                    pager = self._pager_at(next(starts, None))
                else:
                    pager = self._further_back(pager, starts, error)
                continue
            except (InvalidResponseError, RetriesExhaustedError, SourceUnreachableError) as error:
                async for page in self._around(pager, error):
                    yield page
                continue
            if self.ascending and _descends(page.items):
                logger.warning(
                    "%s: the service ignores order=asc; every run lists everything", self._job.name
                )
                self.ascending = False
                if after is not None:
                    pager = self._pager_at(None)
                    continue
            yield page
            if pager.done and self._expects_more():
                pager.ask_once_more()
        self.gaps.note_hidden(pager.hidden_after)

    def _pager_at(self, start: tuple[str, int] | None) -> Pager[Completion]:
        """Return a pager that begins after a completion (id, created), None: at the beginning."""
        completion_id, self.listed_after = (None, None) if start is None else start
        return self._new_pager(completion_id)

    def _new_pager(self, after: str | None) -> Pager[Completion]:
        return Pager(after, limit=self._limit, second=_second, checks_caps=True)

    async def _page(self, pager: Pager[Completion], *, order: str = "asc") -> ListedPage:
        cursor, is_piece = pager.cursor, pager.limit < self._limit
        is_again = is_piece

        def read(body: bytes) -> ListedPage:
            nonlocal is_again
            # What cannot be read is worth another request; a row that stays so is left out.
            is_lenient, is_again = is_again, True
            page = read_readable_completions(body) if is_lenient else read_completion_page(body)
            fresh = pager.feed(page)
            self.gaps.note_malformed(page, cursor)
            return Page(tuple(fresh), page.has_more, malformed=page.malformed)

        page = await self._api.list_completions(
            read,
            after=cursor,
            limit=pager.limit,
            order=order,
            model=self._job.model,
            metadata=self._job.metadata,
            hasty=is_piece and pager.limit > 1,
        )
        self._has_answered = True
        if page.items:
            self._last = page.items[-1]
        return page

    def _expects_more(self) -> bool:
        """Whether the list ended before the newest completion that an earlier run found there."""
        cursor = self._cursor()
        if cursor is None or not cursor.completion_id or not self.ascending:
            return False
        return self._last is None or self._last.created < cursor.created

    def _lower_limit(self, after: str | None, error: ChatlakeError) -> bool:
        """Ask for smaller pages where the limit may be what is refused."""
        if self._has_answered or not isinstance(error, RequestRejectedError):
            return False
        if after is not None and "limit" not in error.message.lower():
            return False
        smaller = [limit for limit in SMALLER_LIMITS if limit < self._limit]
        if not smaller:
            return False
        self._limit = smaller[0]
        logger.info("%s: pages of %d are asked for", self._job.name, self._limit)
        return True

    def _further_back(
        self,
        pager: Pager[Completion],
        starts: Iterator[tuple[str, int]],
        error: ChatlakeError | None = None,
    ) -> Pager[Completion]:
        """Return a pager that goes on from an older place; `error`: what the cursor led to."""
        gone = pager.cursor
        # A 410 that does not name the cursor speaks of the list.
        is_of_list = isinstance(error, RetiredError) and (gone or "") not in error.message
        if error is not None and (gone is None or is_of_list):
            raise list_error(error) from error
        if not pager.step_back():
            self.gaps.note_hidden(pager.hidden_after)
            start = next(starts, None)
            self._beginnings += start is None
            if self._beginnings > _BEGINNINGS:
                raise UnusableListError(
                    "the list of completions never follows the completions that it was asked to "
                    f"continue after, at last {gone}"
                )
            pager = self._pager_at(start)
        where = f"after {pager.cursor}" if pager.cursor else "from the beginning"
        logger.info("%s: cursor %s is gone, going on %s", self._job.name, gone, where)
        return pager

    async def _around(
        self, pager: Pager[Completion], error: ChatlakeError
    ) -> AsyncIterator[ListedPage]:
        """Read what stands around a row with which no page can be fetched."""
        is_of_all = isinstance(error, CompletionError) and error.status == _RATE_LIMITED
        if is_of_all or (isinstance(error, SourceUnreachableError) and not self._has_answered):
            raise list_error(error) from error
        async for page in self._in_pieces(pager, "asc"):
            yield page
        if pager.done or pager.limit > 1:
            return  # it was too large as a whole, or the trouble has passed
        before = self._last
        after: Completion | None = None
        if not await self._gives_what_is_known(pager):
            raise list_error(error) from error
        self.ascending = False
        async for page, oldest in self._from_the_end(pager, error):
            after = oldest
            yield page
        self.gaps.note_blocked(before, error, pager.cursor, after)
        pager.done = True

    async def _in_pieces(self, pager: Pager[Completion], order: str) -> AsyncIterator[ListedPage]:
        """Read a page's worth of rows in ever smaller pieces.

        Afterwards the pager's limit is 1 where the next row alone cannot be fetched.
        """
        rows = 0
        for limit in _PIECES:
            pager.limit = limit
            while not pager.done:
                if rows >= self._limit:
                    self._limit = max(pager.limit, _PIECES[-2])
                    pager.limit = self._limit
                    return
                try:
                    page = await self._page(pager, order=order)
                except _PASSING:
                    break
                rows += len(page.items)
                yield page

    async def _gives_what_is_known(self, pager: Pager[Completion]) -> bool:
        """Whether the list works but for the next row: it gives the last again, or its newest."""
        order = "asc"
        if not pager.ask_for_known():
            pager, order = self._new_pager(None), "desc"
            pager.limit = 1
        try:
            await self._page(pager, order=order)
        except _PASSING:
            return False
        return True

    async def _from_the_end(
        self, blocked: Pager[Completion], error: ChatlakeError
    ) -> AsyncIterator[tuple[ListedPage, Completion | None]]:
        """Yield what lies behind the bad row, newest first, each with the oldest row so far.

        None where the rows have met those that were read before.
        """
        pager, oldest = self._new_pager(None), None
        while not pager.done and pager.limit > 1:
            try:
                pages = [await self._page(pager, order="desc")]
            except _PASSING:
                pages = [page async for page in self._in_pieces(pager, "desc")]
            for page in pages:
                if _ascends(page.items):
                    raise list_error(error) from error
                new = tuple(item for item in page.items if not self._is_before(item, blocked))
                has_met = len(new) < len(page.items)
                oldest = None if has_met else new[-1] if new else oldest
                yield Page(new, page.has_more, malformed=page.malformed), oldest
                if has_met:
                    return

    def _is_before(self, item: Completion, blocked: Pager[Completion]) -> bool:
        if blocked.has_seen(item.id) or item.id == blocked.cursor:
            return True
        return self.listed_after is not None and item.created < self.listed_after

    def _cursor(self) -> Cursor | None:
        cursor = self._lake.state.cursors.get(self._job.name)
        if cursor is None or cursor.selection != self._job.selection:
            return None
        return cursor

    def _starts(self) -> Iterator[tuple[str, int]]:
        """Yield (id, created) to start after, the best first; when used up: the beginning."""
        cursor = self._cursor()
        if cursor is None or self._job.mode == "full":
            return
        # A completion may claim to be of the future: it must not shorten the lookback.
        newest = min(cursor.created, int(time.time()))
        points = self._lake.resume_points(self._job.name, before=newest - self._job.lookback)
        # Neighbours are often deleted together: each further step goes twice as far back.
        step, skip = 1, 0
        for point in points:
            if skip:
                skip -= 1
                continue
            yield point
            skip, step = step - 1, step * 2


def _second(completion: Completion) -> int | None:
    """Return when it was created; None where that is unknown, or cannot be true."""
    if completion.fields.created is None or completion.created > time.time() + CLOCK_SLACK_S:
        return None
    return completion.created


def _seconds(completions: tuple[Completion, ...]) -> list[int]:
    return [second for second in map(_second, completions) if second is not None]


def _descends(completions: tuple[Completion, ...]) -> bool:
    known = _seconds(completions)
    return len(known) > 1 and known[0] > known[-1]


def _ascends(completions: tuple[Completion, ...]) -> bool:
    known = _seconds(completions)
    return len(known) > 1 and known[0] < known[-1]
