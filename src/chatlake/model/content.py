"""What a message says: its content, its parts, and the reply that some servers repeat."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chatlake.model.json_text import SentObject
from chatlake.model.objects import (
    NULL,
    ChoiceFields,
    Completion,
    Message,
    MessageFields,
    PartFields,
    read_choices,
    read_parts,
)
from chatlake.model.values import entry, index_or_none

FROM_PARTS, FROM_CONTENT = "content_parts", "content"
_STRING = msgspec.json.Decoder(str)


class Content:
    """What a message contains: its fields, its content, its decoded parts.

    `parts` come from `content_parts`, or from `content` if a server sends them there; `part_source`
    says from which of the two. A plain string in `content` is not a part here.
    """

    def __init__(self, fields: MessageFields, sent: SentObject) -> None:
        self.fields = fields
        self.sent = sent
        self.part_source = FROM_PARTS
        self.parts = self._parts(FROM_PARTS, bytes(fields.content_parts))
        content = bytes(fields.content)
        first = content[:1]
        self.is_plain = first == b'"'
        self.content: str | None = None
        if self.is_plain:
            self.content = _STRING.decode(content)
        elif content != NULL and (self.parts or first != b"["):
            self.content = content.decode()
        if not self.parts:
            self.part_source = FROM_CONTENT
            self.parts = self._parts(FROM_CONTENT, content)

    @property
    def text(self) -> str | None:
        """The text to read: the parts' texts joined by a newline, else the content."""
        if not self.parts:
            return self.content
        texts = [part.text for part, _ in self.parts if isinstance(part.text, str)]
        return "\n".join(texts) if texts else None

    def _parts(self, key: str, text: bytes) -> list[tuple[PartFields, SentObject]]:
        return read_parts(self.sent.member(key, text)) if text[:1] == b"[" else []

    def repeats(self, reply: Content) -> bool:
        """Whether this message repeats the reply, as far as a stored message shows.

        Stored messages may lack `tool_calls` and `refusal`; if they have them, they must agree. Two
        messages without any content do not count as equal.
        """
        calls, reply_calls = bytes(self.fields.tool_calls), bytes(reply.fields.tool_calls)
        if calls != NULL and not _same_json(self.fields.tool_calls, reply.fields.tool_calls):
            return False
        if self.fields.refusal is not None and self.fields.refusal != reply.fields.refusal:
            return False
        if self._others() != reply._others():
            return False
        said, replied = self._spellings(), reply._spellings()
        if said or replied:
            return not said.isdisjoint(replied)
        return reply_calls != NULL or bool(self._others()) or self.fields.refusal is not None

    def _spellings(self) -> set[str]:
        """The text, and `content`, which joins the parts' texts differently (api-behaviour)."""
        return {said for said in (self.content, self.text) if said}

    def _others(self) -> list[bytes]:
        """The parts that are not texts, such as images."""
        return [sent.clean for part, sent in self.parts if not isinstance(part.text, str)]


class Reply(msgspec.Struct, frozen=True):
    """One choice: its index, its other fields, and its message."""

    index: int
    choice: ChoiceFields
    content: Content


def read_replies(completion: Completion) -> list[Reply] | None:
    """Return the replies of a completion, each with a unique index.

    A choice without a usable index, or with the index of an earlier choice, gets the lowest free
    one. None if `choices` is not an array.
    """
    choices = read_choices(completion)
    if choices is None:
        return None
    named = {index_or_none(choice.index) for choice, _, _ in choices}
    free = (index for index in range(len(choices)) if index not in named)
    replies: list[Reply] = []
    given: set[int] = set()
    for choice, fields, sent in choices:
        index = index_or_none(choice.index)
        if index is None or index in given:
            index = next(free)
        given.add(index)
        replies.append(Reply(index, choice, Content(fields, sent)))
    return replies


def without_echo(
    messages: Sequence[Message], replies: Sequence[Reply]
) -> tuple[Sequence[Message], dict[int, SentObject]]:
    """Split off the replies that some servers (OGX) append to `/messages`.

    Returns the input messages, and by position of the reply the object that repeated it.
    """
    end, echoes = len(messages), {}
    for position in range(len(replies) - 1, -1, -1):
        if end == 0 or messages[end - 1].fields.role != "assistant":
            break
        last = messages[end - 1]
        if Content(last.fields, last.sent).repeats(replies[position].content):
            end -= 1
            echoes[position] = last.sent
    return messages[:end], echoes


def image_url_of(value: object) -> str | None:
    """Return the URL of a part's `image_url`: an object with `url`, or the URL itself."""
    url = entry(value, "url") if isinstance(value, dict) else value
    return url if isinstance(url, str) else None


def _same_json(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except (msgspec.MsgspecError, RecursionError):
        return bytes(one) == bytes(other)
