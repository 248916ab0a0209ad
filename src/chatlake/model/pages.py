"""Decoding of the pages of a list: their items, and whether there is more.

Servers say in several ways whether there is more and where it starts. `Page` says it in one way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

from chatlake.errors import InvalidResponseError
from chatlake.model.json_text import SentObject, read_sent
from chatlake.model.objects import (
    Completion,
    Message,
    completion_of,
    message_of,
    require_utf8,
    unreadable,
)
from chatlake.model.redaction.rules import Redacted, Redaction
from chatlake.model.rows_in_text import readable_id, split_rows

T = TypeVar("T")


class _Page(msgspec.Struct):
    data: msgspec.Raw
    has_more: Any = None
    last_id: Any = None
    next_cursor: Any = msgspec.UNSET
    next: Any = msgspec.UNSET


class Malformed(msgspec.Struct, frozen=True):
    """A row of a list that cannot be read.

    `after`: how many readable rows of the page are before it. `why`: what is wrong with it. `id`:
    its id, None if it has none that can be read.
    """

    after: int
    why: str
    id: str | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list.

    `has_more` is None if the server does not say. `last_id`: the server's id of the last item,
    empty if it does not say. `next_cursor`: the cursor to continue from, on a server whose cursors
    are not item ids; None on any other. `malformed`: rows that are left out of `items`.
    """

    items: tuple[T, ...]
    has_more: bool | None
    last_id: str = ""
    next_cursor: str | None = None
    malformed: tuple[Malformed, ...] = ()


_PAGE = msgspec.json.Decoder(_Page)
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


def read_completion_page(body: bytes, redaction: Redaction | None = None) -> Page[Completion]:
    """Decode a page of `GET /chat/completions`; InvalidResponseError if it is not one.

    `redaction` is applied before anything of the page is read, here and below.
    """
    text = Redacted(body, ()) if redaction is None else redaction.completions(body)
    rows, page = _split_page(require_utf8(read_sent(text.text), "a page"))
    items = (completion_of(row, text.of_row(number)) for number, row in enumerate(rows))
    return _page(tuple(items), page)


def read_readable_completions(body: bytes, redaction: Redaction | None = None) -> Page[Completion]:
    """Decode a page of `GET /chat/completions`, without the rows that cannot be read.

    InvalidResponseError if the page itself cannot be read.
    """
    text = Redacted(body, ()) if redaction is None else redaction.completions(body)
    rows, rest = split_rows(text.text)
    sent = read_sent(rest)
    _, page = _split_page(require_utf8(sent, "a page"))
    items: list[Completion] = []
    malformed: list[Malformed] = []
    for number, row in enumerate(rows):
        try:
            readable = require_utf8(read_sent(row), "a row")
            items.append(completion_of(readable, text.of_row(number)))
        except InvalidResponseError as error:
            # Only the JSON reader's own words, because the row may contain a secret.
            why = error.message if error.__cause__ is None else str(error.__cause__)
            malformed.append(Malformed(len(items), why, readable_id(row)))
    return _page(tuple(items), page, tuple(malformed))


def read_message_page(
    body: bytes,
    completion_id: str = "",
    position: int = 0,
    *,
    redaction: Redaction | None = None,
) -> Page[Message]:
    """Decode a page of `GET …/messages`; InvalidResponseError if it is not one.

    `position`: that of the page's first message among all of the completion, from 0. A message
    without an id is named after its position (`<completion id>-<position>`, as the API does).
    """
    text = Redacted(body, ()) if redaction is None else redaction.messages(body)
    rows, page = _split_page(require_utf8(read_sent(text.text), "a page"))
    messages = (
        message_of(row, f"{completion_id}-{position + number}", text.of_row(number))
        for number, row in enumerate(rows)
    )
    return _page(tuple(messages), page)


def latest_of_each(items: Iterable[Completion]) -> dict[str, Completion]:
    """Return one completion for each id: the one with the latest `created`, or the last of equals.

    The completions stay in the order of the items.
    """
    latest: dict[str, Completion] = {}
    for item in items:
        before = latest.get(item.id)
        if before is None or item.created >= before.created:
            latest.pop(item.id, None)  # so that this item comes at its own place
            latest[item.id] = item
    return latest


def _split_page(whole: SentObject) -> tuple[list[SentObject], _Page]:
    try:
        page = _PAGE.decode(whole.clean)
        array = whole.member("data", bytes(page.data))
        return array.elements(map(bytes, _ROWS.decode(array.clean))), page
    except (msgspec.MsgspecError, RecursionError) as error:
        raise unreadable("a page", whole, error) from error


def _page(items: tuple[T, ...], page: _Page, malformed: tuple[Malformed, ...] = ()) -> Page[T]:
    """Return the page in its one form; each of `items` has an `id`."""
    last_id = page.last_id if isinstance(page.last_id, str) else ""
    token, has_more = None, _said_of_more(page.has_more)
    for named in (page.next_cursor, page.next):
        if named is None and has_more is None:
            has_more = False
        if isinstance(named, str) and named and "://" not in named:
            token = named
    if token is None and items and last_id and not malformed:
        ids = {item.id for item in items}  # type: ignore[attr-defined]
        token = None if last_id in ids else last_id
    if token is None and malformed and not items:
        token = last_id or malformed[-1].id  # the server knows the row, although it cannot be read
    if token is not None and has_more is None:
        has_more = True
    return Page(items, has_more, last_id, token, malformed)


def _said_of_more(value: object) -> bool | None:
    """Return whether a page says there is more, however the server writes it.

    None if it does not say.
    """
    if value is None or isinstance(value, bool):
        return value
    said = value.lower() if isinstance(value, str) else value
    if isinstance(said, str | int | float) and said in {"true", "false", 0, 1}:
        return said in {"true", 1}
    raise InvalidResponseError(f"the response is not a list: has_more is {str(value)[:40]!r}")
