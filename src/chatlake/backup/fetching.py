"""Fetching one completion by its id, and all messages of one, page by page."""

from __future__ import annotations

import re
import time
from typing import Final

from chatlake.backup.ports import MAX_BODY, CompletionApi, Room
from chatlake.config.sizes import format_size
from chatlake.errors import (
    InvalidResponseError,
    RequestRejectedError,
    TooLargeError,
    UnsettledError,
)
from chatlake.model.counts import count
from chatlake.model.moments import seconds_of
from chatlake.model.objects import Completion, Message, read_completion
from chatlake.model.pages import Page, read_message_page
from chatlake.model.paging import PAGE_LIMIT, Pager, StrandedError
from chatlake.model.redaction.rules import Redaction

SMALLER_LIMITS: Final = (50, 20, 10)
_READINGS: Final = 3
"""How often to request messages again, if they are fewer than the lake has, before accepting them.
"""
_FRESH_S: Final = 3600
_OF_A_COMPLETION: Final = re.compile(r"(chatcmpl-[A-Za-z0-9]+)-\d+")


async def get_completion(api: CompletionApi, completion_id: str) -> Completion:
    """Return a completion by its id; raises InvalidResponseError if the response is another one.

    AccountError, SourceUnreachableError or CompletionError.
    """

    def read(body: bytes) -> Completion:
        completion = read_completion(body, api.redaction)
        if completion.id != completion_id:  # as a confused cache sends it
            raise InvalidResponseError(
                f"the service sent another completion, {completion.id[:200]!r}"
            )
        return completion

    return await api.get_completion(read, completion_id)


class MessageSource:
    """Fetches the messages of a source's completions; remembers the page size that it accepts.

    `max_bytes`: bytes of all messages of one completion, which are in memory at once.
    """

    def __init__(self, api: CompletionApi, *, max_bytes: int = MAX_BODY) -> None:
        self._api = api
        self._max_bytes = max_bytes
        self._limit = PAGE_LIMIT
        self._limit_is_known = False

    async def fetch(
        self,
        completion_id: str,
        *,
        settle: bool,
        at_least: int = 0,
        room: Room | None = None,
        hasty: bool = False,
    ) -> list[Message]:
        """Return the messages of a completion, oldest first.

        `settle`: wait out late visibility before a 404 counts. `at_least`: how many there must be;
        if there are fewer, they are requested again over some seconds. `room`, `hasty`: see
        `CompletionApi`.

        AccountError, SourceUnreachableError or CompletionError; UnsettledError if there are no
        messages although there must be some.
        """
        while True:
            try:
                return await self._fetch(completion_id, settle, at_least, room, hasty=hasty)
            except RequestRejectedError as error:
                if not self._lower_limit(error):
                    raise

    async def _fetch(
        self, completion_id: str, settle: bool, at_least: int, room: Room | None, *, hasty: bool
    ) -> list[Message]:
        reading = _Reading(
            completion_id, at_least, self._limit, self._max_bytes, self._api.redaction
        )
        pager = reading.pager
        while not pager.done:
            try:
                page = await self._api.list_messages(
                    reading.read,
                    completion_id,
                    after=pager.cursor,
                    limit=self._limit,
                    settle=settle and pager.cursor is None,
                    room=room,
                    take=reading.take,
                    hasty=hasty,
                )
                reading.messages += page.items
            except StrandedError:
                if not pager.step_back():
                    raise InvalidResponseError(
                        f"the messages of {completion_id} end although more were announced",
                        request_id=reading.request_id,
                    ) from None
            self._limit_is_known = True
        if pager.hidden_after:
            raise InvalidResponseError(
                f"the service leaves out messages of {completion_id} between two pages",
                request_id=reading.hidden_in,
            )
        return reading.messages

    def _lower_limit(self, error: RequestRejectedError) -> bool:
        """Ask for fewer at once if the limit may be the reason for the refusal."""
        smaller = [limit for limit in SMALLER_LIMITS if limit < self._limit]
        if self._limit_is_known or not smaller or "limit" not in error.message.lower():
            return False
        self._limit = smaller[0]
        return True


class _Reading:
    """The messages of one completion while they are read.

    `request_id`: the service's id for the request of the last page. `hidden_in`: its id for the
    request that first showed that messages are left out.
    """

    def __init__(
        self,
        completion_id: str,
        at_least: int,
        limit: int,
        max_bytes: int,
        redaction: Redaction | None,
    ) -> None:
        self.messages: list[Message] = []
        self.request_id = self.hidden_in = ""
        self.pager: Pager[Message] = Pager(limit=limit, second=_second, is_cursor=_has_id)
        self._completion_id = completion_id
        self._at_least = at_least
        self._short_readings = 0
        self._bytes_left = max_bytes
        self._page_bytes = 0
        self._max_bytes = max_bytes
        self._redaction = redaction

    def read(self, body: bytes) -> Page[Message]:
        """Decode a page.

        Raises UnsettledError if it is too short, as long as asking again may help, TooLargeError if
        the messages together exceed the limit of one response, and InvalidResponseError.
        """
        if len(body) > self._bytes_left:
            raise TooLargeError(
                f"the messages are larger than {format_size(self._max_bytes)} (pace.max_body)"
            )
        page = read_message_page(
            body, self._completion_id, self._position(), redaction=self._redaction
        )
        _require_own(page, self._completion_id)
        if len(self.messages) + len(page.items) < self._at_least and page.has_more is not True:
            self._short_readings += 1
            if not page.items or self._short_readings <= _READINGS:
                raise UnsettledError(
                    f"{count(len(page.items), 'message')} instead of at least {self._at_least}"
                )
        self._page_bytes = len(body)
        return page

    def take(self, page: Page[Message], request_id: str) -> Page[Message]:
        """Move on by one page, and return its new messages; see `Pager.feed`."""
        self.request_id = request_id
        fresh = self.pager.feed(page)
        if self.pager.hidden_after:
            self.hidden_in = self.hidden_in or request_id
        self._bytes_left -= self._page_bytes
        return Page(tuple(fresh), page.has_more)

    def _position(self) -> int:
        """Return the position of the next page's first message."""
        cursor = self.pager.cursor
        ids = [message.id for message in self.messages]
        return ids.index(cursor) + 1 if cursor in ids else len(ids)


def inputs_expected(completion: Completion, stored: int | None) -> int:
    """Return how many messages a completion must have.

    `stored`: how many inputs the lake has of it. A completion that was just created and has prompt
    tokens must have at least one, even if its messages do not show it yet (late visibility).
    """
    usage = completion.fields.usage
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    has_prompt = isinstance(tokens, int | float) and tokens > 0
    is_fresh = abs(time.time() - completion.created) < _FRESH_S
    return stored or int(has_prompt and is_fresh)


def _has_id(message: Message) -> bool:
    return isinstance(message.fields.id, str) and message.fields.id != ""


def _second(message: Message) -> int | None:
    return seconds_of(message.fields.created)


def _require_own(page: Page[Message], completion_id: str) -> None:
    """Refuse messages of another completion, as a confused cache may send them."""
    if page.items and page.items[0].id.startswith(f"{completion_id}-"):
        return
    owners = {_owner(message.id) for message in page.items}
    if len(owners) == 1 and completion_id.startswith("chatcmpl-"):
        (owner,) = owners
        if owner is not None and owner != completion_id:
            raise InvalidResponseError(f"the service sent the messages of {owner}")


def _owner(message_id: str) -> str | None:
    found = _OF_A_COMPLETION.fullmatch(message_id)
    return None if found is None else found.group(1)
