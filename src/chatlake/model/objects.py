"""Decoding of what the API sends: completions, messages and their parts; pages are in `pages.py`.

Only a completion's `id` is required. Every other field may be missing, null or of another type than
documented (api-behaviour: "carry what comes, require nothing but `id`"). So fields have the type
`Any`, and the flattening reads them with care.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Any, TypeVar

import msgspec

from chatlake.errors import InvalidResponseError
from chatlake.model.json_text import SentObject, quoted_start, read_sent
from chatlake.model.moments import seconds_of
from chatlake.model.redaction.rules import NO_COUNTS, Counts, Redaction

T = TypeVar("T")

NULL = b"null"
_NULL = msgspec.Raw(NULL)


class CompletionFields(msgspec.Struct):
    """The fields of a stored completion that have their own column."""

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
    """The fields of a stored message that have their own column."""

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

    `created` is 0 if the server does not say (then `fields.created` is None). `redacted`: what
    was replaced in it before it was read, by kind.
    """

    id: str
    created: int
    fields: CompletionFields
    sent: SentObject
    redacted: Counts = NO_COUNTS


class Message(msgspec.Struct, frozen=True):
    """A stored message: its id, its fields and its exact text; `redacted` as of a completion."""

    id: str
    fields: MessageFields
    sent: SentObject
    redacted: Counts = NO_COUNTS


_PIECE = 1 << 20  # for a body with an image, the text would take four times the space
_COMPLETION = msgspec.json.Decoder(CompletionFields)
_MESSAGE = msgspec.json.Decoder(MessageFields)
_CHOICE = msgspec.json.Decoder(ChoiceFields)
_PART = msgspec.json.Decoder(PartFields | str)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def read_completion(body: bytes, redaction: Redaction | None = None) -> Completion:
    """Decode the response of `GET /chat/completions/{id}`; InvalidResponseError if invalid."""
    text, counts = (body, NO_COUNTS) if redaction is None else redaction.completion(body).first
    return completion_of(require_utf8(read_sent(text), "a completion"), counts)


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


def completion_of(sent: SentObject, redacted: Counts = NO_COUNTS) -> Completion:
    """Decode a completion; InvalidResponseError if it is not one."""
    fields, sent = _required_fields(_COMPLETION, sent, "a completion")
    return Completion(_id(fields.id, "a completion"), _created(fields), fields, sent, redacted)


def message_of(sent: SentObject, name: str, redacted: Counts = NO_COUNTS) -> Message:
    """Decode a message, named `name` if it has no id; InvalidResponseError if it is invalid."""
    fields, sent = _required_fields(_MESSAGE, sent, "a message")
    own = isinstance(fields.id, str) and fields.id
    return Message(fields.id if own else name, fields, sent, redacted)


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
        raise unreadable(what, sent, error) from error


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
    except msgspec.ValidationError:  # raised also for a number that is too large for a double
        tame = sent.with_tame_numbers()
        if tame is sent:
            raise
        return decoder.decode(tame.clean), tame


def require_utf8(sent: SentObject, what: str) -> SentObject:
    """Return `sent` if it is UTF-8, else raise InvalidResponseError.

    msgspec does not notice, because it does not look at values that it skips.
    """
    try:
        if not sent.text.isascii():
            decoder = getincrementaldecoder("utf-8")()
            for start in range(0, len(sent.text), _PIECE):
                decoder.decode(sent.text[start : start + _PIECE])
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise unreadable(what, sent, error) from error
    return sent


def unreadable(what: str, sent: SentObject, error: Exception) -> InvalidResponseError:
    """Return the error to raise if `what` (an object with its article) cannot be read."""
    return InvalidResponseError(
        f"the service sent {what} that cannot be read ({error}){quoted_start(sent.text)}"
    )
