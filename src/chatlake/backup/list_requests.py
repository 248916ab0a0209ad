"""Requests for pages of one source's list, and what they have shown so far."""

from __future__ import annotations

import logging
import time
from typing import Final

from chatlake.backup.items import SourceJob
from chatlake.backup.list_gaps import ListGaps
from chatlake.backup.ports import CompletionApi
from chatlake.model.objects import Completion
from chatlake.model.pages import Page, read_completion_page, read_readable_completions
from chatlake.model.paging import PAGE_LIMIT, Pager

logger = logging.getLogger(__name__)

SMALLER_LIMITS: Final = (50, 20, 10)
CLOCK_SLACK_S: Final = 3600
"""How far a service's clock may be ahead of ours before a time counts as in the future."""
_PAGES_BEFORE_GROWTH: Final = 10

ListedPage = Page[Completion]


class ListRequests:
    """Asks for the pages of one list.

    `limit`: rows of a usual page. `has_answered`: whether a page has arrived. `last`: the last row
    received, in whatever order. `gaps` collects the rows that cannot be read.
    """

    def __init__(self, job: SourceJob, api: CompletionApi, gaps: ListGaps) -> None:
        self.limit = PAGE_LIMIT
        self.has_answered = False
        self.last: Completion | None = None
        self.gaps = gaps
        self.source = job.name
        self._job = job
        self._api = api
        self._most = PAGE_LIMIT
        self._pages = 0

    def new_pager(self, after: str | None) -> Pager[Completion]:
        """Return a pager that starts after this completion; None: at the beginning of the list."""
        return Pager(after, limit=self.limit, second=second_of, checks_caps=True)

    async def page(
        self, pager: Pager[Completion], *, order: str = "asc", hasty: bool = False
    ) -> ListedPage:
        """Return the pager's next page with its new rows only, and move the pager on.

        `hasty`: ask only once, and leave out what cannot be read. Raises errors of the API and of
        `Pager.feed`; the pager then stays where it was.
        """
        cursor, is_again = pager.cursor, hasty or pager.limit < self.limit

        def read(body: bytes) -> ListedPage:
            nonlocal is_again
            # An unreadable row is worth another request; if it stays unreadable, it is left out.
            is_lenient, is_again = is_again, True
            reader = read_readable_completions if is_lenient else read_completion_page
            return reader(body, self._api.redaction)

        def take(page: ListedPage, request_id: str) -> ListedPage:
            hidden = len(pager.hidden_after)
            fresh = pager.feed(page)
            self.gaps.found_hidden(pager.hidden_after[hidden:], request_id)
            self.gaps.note_malformed(page, cursor, request_id)
            return Page(tuple(fresh), page.has_more, malformed=page.malformed)

        page = await self._api.list_completions(
            read,
            after=cursor,
            limit=pager.limit,
            order=order,
            model=self._job.model,
            metadata=self._job.metadata,
            take=take,
            hasty=hasty,
        )
        self.has_answered = True
        if page.items:
            self.last = page.items[-1]
        return page

    def lower_limit(self) -> bool:
        """Ask for smaller pages from now on; returns False if they cannot be smaller."""
        smaller = [limit for limit in SMALLER_LIMITS if limit < self.limit]
        if not smaller:
            return False
        self.limit = self._most = smaller[0]
        logger.info("%s: asking for pages of %d", self.source, self.limit)
        return True

    def shrink(self, limit: int) -> None:
        """Ask for pages of this size for a while: larger ones were too much."""
        self.limit, self._pages = limit, 0

    def grow(self, pager: Pager[Completion]) -> bool:
        """After some pages, ask for twice as many rows at once; return whether it does so now."""
        self._pages += 1
        if self.limit >= self._most or self._pages < _PAGES_BEFORE_GROWTH:
            return False
        self._pages = 0
        self.limit = pager.limit = min(2 * self.limit, self._most)
        return True


def second_of(completion: Completion) -> int | None:
    """Return when it was created; None if that is unknown or impossible."""
    if completion.fields.created is None or completion.created > time.time() + CLOCK_SLACK_S:
        return None
    return completion.created
