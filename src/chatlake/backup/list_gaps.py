"""Rows that the list contains but does not return: each is a named failure, and the rest is stored.

Such a row has no id to ask for. So its name is its place, the completion that it follows. A later
run that reads this place without an error closes the gap.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from chatlake.errors import (
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
    RetriesExhaustedError,
    SourceUnreachableError,
    UnusableListError,
)
from chatlake.model.manifest import Failure, format_time
from chatlake.model.objects import Completion
from chatlake.model.outside_text import one_line
from chatlake.model.pages import Page

logger = logging.getLogger(__name__)

UNLISTED: Final = "unlisted"
"""The reason of a failure that names a place in the list, and no completion."""


class ListGaps:
    """The places of one run's list at which rows are missing, by name."""

    def __init__(self, source: str) -> None:
        self.failures: dict[str, Failure] = {}
        self._source = source
        self._has_unread_ids = False
        self._hidden_in: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether the list failed to show everything that the source has."""
        return bool(self.failures) or self._has_unread_ids

    def note_malformed(self, page: Page[Completion], cursor: str | None, request_id: str) -> None:
        """Record the rows of a page that cannot be read; those with an id are requested by id.

        `request_id`: the service's id for the request that the page answers.
        """
        for row in page.malformed:
            if row.id is not None:
                self._has_unread_ids = True
                continue
            before = page.items[row.after - 1] if row.after else None
            detail = f"a row of the list cannot be read: {row.why}"
            self._note("row", before, detail, request_id, cursor)

    def note_blocked(
        self,
        before: Completion | None,
        error: ChatlakeError,
        cursor: str | None,
        after: Completion | None,
    ) -> None:
        """Record the rows between `before` and `after`, which make every page fail.

        Their number is unknown. `after` is None if nothing could be read from the other end.
        """
        upto = "" if after is None else f" up to {after.id}"
        detail = f"the list cannot be read here{upto}: {error.message}"
        self._note("rows", before, detail, error.request_id, cursor)
        place = before.id if before is not None else cursor or "its beginning"
        logger.warning("%s: the list cannot be read after %s%s", self._source, place, upto)

    def found_hidden(self, places: Iterable[Completion], request_id: str) -> None:
        """Remember which request showed that rows are hidden behind these."""
        self._hidden_in.update((place.id, request_id) for place in places)

    def note_hidden(self, places: Iterable[Completion]) -> None:
        """Record the seconds that fill a whole page, in a list whose cursor goes by time."""
        for before in places:
            moment = datetime.fromtimestamp(before.created, UTC)
            self._note(
                "rows",
                before,
                f"more completions than fit on a page may share the second {moment:%F %T} UTC, and "
                "the service pages by time: it does not show the rest of that second",
                self._hidden_in.get(before.id, ""),
            )

    def _note(
        self,
        what: str,
        before: Completion | None,
        detail: str,
        request_id: str,
        cursor: str | None = None,
    ) -> None:
        after = cursor if before is None else before.id
        name = f"({what} after {after})" if after else f"({what} at the beginning of the list)"
        now = format_time(datetime.now(UTC))
        self.failures[name] = Failure(
            source=self._source,
            completion_id=name,
            reason=UNLISTED,
            detail=one_line(detail),
            request_id=request_id,
            created=before.created if before is not None else None,
            first_attempt_at=now,
            last_attempt_at=now,
        )


def list_error(error: ChatlakeError) -> ChatlakeError:
    """Return what an error means for the list, where it costs more than a single completion."""
    if not isinstance(error, CompletionError):
        return error
    message = f"the list of completions cannot be fetched: {error.message}"
    if isinstance(error, RetriesExhaustedError):
        return SourceUnreachableError(message, hint=error.hint, request_id=error.request_id)
    if isinstance(error, CompletionNotFoundError):
        hint = UnusableListError.default_hint
        return SourceUnreachableError(message, hint=hint, request_id=error.request_id)
    return UnusableListError(message, request_id=error.request_id)
