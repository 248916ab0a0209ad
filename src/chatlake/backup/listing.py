"""Listing: reads the pages of a source's list to the end, whatever goes wrong on the way.

The list is read ascending from a completion that the lake holds. These are the errors on the way,
and what happens then:

    the cursor is unknown         older ones are tried, finally the beginning
    the limit is refused          smaller ones are tried
    a row cannot be read          it is named, and the rest of its page is used
    a page cannot be fetched      the rows around the bad one are read (`list_holes`), and its
                                  place is named
    the server ignores the order  everything is listed

An error ends the list only if none of this helps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

from chatlake.backup.items import SourceJob
from chatlake.backup.lake_port import LakeStore
from chatlake.backup.list_gaps import ListGaps, list_error
from chatlake.backup.list_holes import ListHoles, descends
from chatlake.backup.list_requests import ListedPage, ListRequests
from chatlake.backup.ports import CompletionApi
from chatlake.errors import (
    ChatlakeError,
    CompletionNotFoundError,
    InvalidResponseError,
    RequestRejectedError,
    RetiredError,
    RetriesExhaustedError,
    SourceUnreachableError,
    UnusableListError,
)
from chatlake.model.manifest import Cursor
from chatlake.model.objects import Completion
from chatlake.model.paging import Pager, StrandedError

logger = logging.getLogger(__name__)

_BEGINNINGS: Final = 3
"""How often to start a list from its beginning before giving up."""
_OUT_OF_PLACE = (CompletionNotFoundError, RequestRejectedError, RetiredError)


class Listing:
    """The list of one job's source, read once.

    `ascending`: whether it came oldest first, without a break. `listed_after`: creation time (UTC
    seconds) after which it was read; None: all of it. `gaps`: what it does not show.
    """

    def __init__(self, job: SourceJob, api: CompletionApi, lake: LakeStore) -> None:
        self.ascending = True
        self.listed_after: int | None = None
        self.gaps = ListGaps(job.name)
        self._job = job
        self._lake = lake
        self._requests = ListRequests(job, api, self.gaps)
        self._holes = ListHoles(self._requests)
        self._beginnings = 0
        self._claimed_after: str | None = None  # the last row of a list that claimed more after it

    async def pages(self) -> AsyncIterator[ListedPage]:
        """Yield each page with its new rows only.

        SourceUnreachableError, UnusableListError or AccountError if the list cannot be read.
        """
        starts = self._starts()
        pager = self._pager_at(next(starts, None))
        is_larger = False  # a page larger than the last one is requested only once
        while not pager.done:
            after = pager.cursor
            try:
                page = await self._requests.page(pager, hasty=is_larger)
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
                is_larger = False
                async for page in self._holes.around(pager, error, self.listed_after):
                    yield page
                self.ascending = self.ascending and not self._holes.has_turned
                continue
            is_larger = self._requests.grow(pager)
            if self.ascending and descends(page.items):
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
        """Return a pager that starts after a completion (id, created); None: at the beginning."""
        completion_id, self.listed_after = (None, None) if start is None else start
        return self._requests.new_pager(completion_id)

    def _expects_more(self) -> bool:
        """Whether the list ended before the newest completion that an earlier run found there."""
        cursor = self._cursor()
        if cursor is None or not cursor.completion_id or not self.ascending:
            return False
        last = self._requests.last
        return last is None or last.created < cursor.created

    def _lower_limit(self, after: str | None, error: ChatlakeError) -> bool:
        """Ask for smaller pages where the limit may be what is refused."""
        if self._requests.has_answered or not isinstance(error, RequestRejectedError):
            return False
        if after is not None and "limit" not in error.message.lower():
            return False
        return self._requests.lower_limit()

    def _further_back(
        self,
        pager: Pager[Completion],
        starts: Iterator[tuple[str, int]],
        error: ChatlakeError | None = None,
    ) -> Pager[Completion]:
        """Return a pager that continues from an older position; `error`: what the cursor led to."""
        gone = pager.cursor
        # A 410 that does not name the cursor speaks of the list.
        is_of_list = isinstance(error, RetiredError) and (gone or "") not in error.message
        if error is not None and (gone is None or is_of_list):
            raise list_error(error) from error
        if pager.ends_in_a_claim and gone == self._claimed_after:
            pager.done = True  # ends there again: the service always claims more
            return pager
        if not pager.step_back():
            self._claimed_after = gone if pager.ends_in_a_claim else None
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
        logger.info("%s: cursor %s is gone, continuing %s", self._job.name, gone, where)
        return pager

    def _cursor(self) -> Cursor | None:
        cursor = self._lake.state.cursors.get(self._job.name)
        if cursor is None or cursor.selection != self._job.selection:
            return None
        return cursor

    def _starts(self) -> Iterator[tuple[str, int]]:
        """Yield (id, created) to start after, the best first.

        When there is none left, start at the beginning.
        """
        cursor = self._cursor()
        if cursor is None or self._job.mode == "full":
            return
        # A completion dated in the future must not shorten the lookback.
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
