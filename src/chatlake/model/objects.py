"""Decoding of what the API sends: pages, completions, messages.

Only `id` is required of an object; every other field may be missing, null or of another type than
documented (api-behaviour: "carry what comes, require nothing but `id`"), so fields are typed `Any`
and read with care by the flattening.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

from chatlake.errors import InvalidResponseError
from chatlake.model.json_text import SentObject, read_sent
from chatlake.model.moments import seconds_of
from chatlake.model.rows_in_text import readable_id, split_rows

T = TypeVar("T")

NULL = b"null"
_NULL = msgspec.Raw(NULL)


class _Page(msgspec.Struct):
    data: msgspec.Raw
    has_more: Any = None
    last_id: Any = None
    next_cursor: Any = msgspec.UNSET
    next: Any = msgspec.UNSET


class CompletionFields(msgspec.Struct):
    """The fields of a stored completion that have a column of their own."""

    id: Any = None
    model: Any = None
    created: Any = None
    request_id: Any = None
    tool_choice: msgspec.Raw = _NULL
    usage: Any = None
    seed: Any = None
    top_p: Any = None
    temperature: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    system_fingerprint: Any = None
    input_user: Any = None
    service_tier: Any = None
    tools: msgspec.Raw = _NULL
    metadata: Any = None
    choices: msgspec.Raw = _NULL
    response_format: msgspec.Raw = _NULL


class MessageFields(msgspec.Struct):
    """The fields of a stored message that have a column of their own."""

    id: Any = None
    created: Any = None
    role: Any = None
    name: Any = None
    content: msgspec.Raw = _NULL
    content_parts: msgspec.Raw = _NULL
    refusal: Any = None
    tool_call_id: Any = None
    tool_calls: msgspec.Raw = _NULL


class ChoiceFields(msgspec.Struct):
    """One of the replies of a completion."""

    index: Any = None
    finish_reason: Any = None
    message: msgspec.Raw = _NULL


class PartFields(msgspec.Struct):
    """One part of a message's content."""

    type: Any = None
    text: Any = None
    image_url: Any = None


class Completion(msgspec.Struct, frozen=True):
    """A stored completion: its id, its creation (UTC seconds), its fields and its exact text.

    `created` is 0 if the server does not say (then `fields.created` is None).
    """

    id: str
    created: int
    fields: CompletionFields
    sent: SentObject


class Message(msgspec.Struct, frozen=True):
    """A stored message: its id, its fields and its exact text."""

    id: str
    fields: MessageFields
    sent: SentObject


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


_PIECE = 1 << 20  # for a body with an image, the text would take four times the space
_PAGE = msgspec.json.Decoder(_Page)
_COMPLETION = msgspec.json.Decoder(CompletionFields)
_MESSAGE = msgspec.json.Decoder(MessageFields)
_CHOICE = msgspec.json.Decoder(ChoiceFields)
_PART = msgspec.json.Decoder(PartFields | str)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def read_completion_page(body: bytes) -> Page[Completion]:
    """Decode a page of `GET /chat/completions`; InvalidResponseError if it is not one."""
    rows, page = _split_page(_checked(read_sent(body), "a page"))
    return _page(tuple(_completion(row) for row in rows), page)


def read_readable_completions(body: bytes) -> Page[Completion]:
    """Decode a page of `GET /chat/completions`, without the rows that cannot be read.

    InvalidResponseError if the page itself cannot be read.
    """
    rows, rest = split_rows(body)
    sent = read_sent(rest)
    _, page = _split_page(_checked(sent, "a page"))
    items: list[Completion] = []
    malformed: list[Malformed] = []
    for row in rows:
        try:
            items.append(_completion(_checked(read_sent(row), "a row")))
        except InvalidResponseError as error:
            # Only the JSON reader's own words, because the row may contain a secret.
            why = error.message if error.__cause__ is None else str(error.__cause__)
            malformed.append(Malformed(len(items), why, readable_id(row)))
    return _page(tuple(items), page, tuple(malformed))


def read_message_page(body: bytes, completion_id: str = "", position: int = 0) -> Page[Message]:
    """Decode a page of `GET …/messages`; InvalidResponseError if it is not one.

    `position`: that of the page's first message among all of the completion, from 0; a message
    without an id is named by its own (`<completion id>-<position>`, as the API names them).
    """
    rows, page = _split_page(_checked(read_sent(body), "a page"))
    messages = (
        _stored_message(row, f"{completion_id}-{n}") for n, row in enumerate(rows, position)
    )
    return _page(tuple(messages), page)


def read_completion(body: bytes) -> Completion:
    """Decode the response of `GET /chat/completions/{id}`; InvalidResponseError if invalid."""
    return _completion(_checked(read_sent(body), "a completion"))


def latest_of_each(items: Iterable[Completion]) -> dict[str, Completion]:
    """Return one completion for each id.

    It is the one with the later `created`, or the later of equal ones. They are in the order of the
    items.
    """
    latest: dict[str, Completion] = {}
    for item in items:
        before = latest.get(item.id)
        if before is None or item.created >= before.created:
            latest.pop(item.id, None)  # it is at its own place
            latest[item.id] = item
    return latest


def read_choices(
    completion: Completion,
) -> list[tuple[ChoiceFields, MessageFields, SentObject]] | None:
    """Decode the replies of a completion: each choice, its message, and the message's exact text.

    None if `choices` is not an array. A choice, or a message in it, that is not an object has no
    fields.
    """
    array = completion.sent.member("choices", bytes(completion.fields.choices))
    choices = _elements(array)
    if choices is None:
        return None
    replies = []
    for sent in choices:
        choice, whole = _fields(_CHOICE, sent) or (ChoiceFields(), sent)
        said = whole.member("message", bytes(choice.message))
        message, said = _fields(_MESSAGE, said) or (MessageFields(), said)
        replies.append((choice, message, said))
    return replies


def read_parts(array: SentObject) -> list[tuple[PartFields, SentObject]]:
    """Decode an array of content parts; an empty list if it is not an array.

    A part that is a plain string is a text; any other part that is not an object has no fields.
    """
    parts = []
    for text in _elements(array) or ():
        part, sent = _fields(_PART, text) or (PartFields(), text)
        parts.append((PartFields("text", part) if isinstance(part, str) else part, sent))
    return parts


def _split_page(whole: SentObject) -> tuple[list[SentObject], _Page]:
    try:
        page = _PAGE.decode(whole.clean)
        array = whole.member("data", bytes(page.data))
        return array.elements(map(bytes, _ARRAY.decode(array.clean))), page
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _unreadable("a page", whole, error) from error


def _page(items: tuple[T, ...], page: _Page, malformed: tuple[Malformed, ...] = ()) -> Page[T]:
    """Put a page together; `items` have ids."""
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

    It is None if the page does not say.
    """
    if value is None or isinstance(value, bool):
        return value
    said = value.lower() if isinstance(value, str) else value
    if isinstance(said, str | int | float) and said in {"true", "false", 0, 1}:
        return said in {"true", 1}
    raise InvalidResponseError(f"the response is not a list: has_more is {str(value)[:40]!r}")


def _completion(sent: SentObject) -> Completion:
    fields, sent = _required_fields(_COMPLETION, sent, "a completion")
    return Completion(_id(fields.id, "a completion"), _created(fields), fields, sent)


def _stored_message(sent: SentObject, name: str) -> Message:
    fields, sent = _required_fields(_MESSAGE, sent, "a message")
    return Message(fields.id if isinstance(fields.id, str) and fields.id else name, fields, sent)


def _id(value: object, what: str) -> str:
    if isinstance(value, str) and value:
        return value
    raise InvalidResponseError(f"the service sent {what} without an id")


def _created(fields: CompletionFields) -> int:
    seconds = seconds_of(fields.created)
    if seconds is None:
        # One odd completion must not keep the list from being read: `raw` keeps what came.
        fields.created = None
        return 0
    return seconds


def _required_fields(
    decoder: msgspec.json.Decoder[T], sent: SentObject, what: str
) -> tuple[T, SentObject]:
    try:
        return _decode(decoder, sent)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _unreadable(what, sent, error) from error


def _fields(decoder: msgspec.json.Decoder[T], sent: SentObject) -> tuple[T, SentObject] | None:
    try:
        return _decode(decoder, sent)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _elements(array: SentObject) -> list[SentObject] | None:
    try:
        return array.elements(map(bytes, _ARRAY.decode(array.clean)))
    except (msgspec.MsgspecError, RecursionError):
        return None


def _decode(decoder: msgspec.json.Decoder[T], sent: SentObject) -> tuple[T, SentObject]:
    try:
        return decoder.decode(sent.clean), sent
    except msgspec.ValidationError:  # so is a number that is too large for a double
        tame = sent.with_tame_numbers()
        if tame is sent:
            raise
        return decoder.decode(tame.clean), tame


def _checked(sent: SentObject, what: str) -> SentObject:
    """Refuse text that is not UTF-8: msgspec does not check what it skips."""
    try:
        if not sent.text.isascii():
            decoder = getincrementaldecoder("utf-8")()
            for start in range(0, len(sent.text), _PIECE):
                decoder.decode(sent.text[start : start + _PIECE])
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _unreadable(what, sent, error) from error
    return sent


def _unreadable(what: str, sent: SentObject, error: Exception) -> InvalidResponseError:
    start = sent.text[:80].decode("utf-8", "replace")
    return InvalidResponseError(
        f"the service answered {what} that cannot be read ({error}): {start!r}"
    )
