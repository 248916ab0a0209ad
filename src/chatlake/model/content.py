"""What a message says: its content, its parts, and the reply that some servers repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


class Content:
    """What a message holds: its fields, its content, its parts decoded.

    `parts` come from `content_parts`, or from `content` where a server sends them there;
    `part_source` says from which of the two. A plain string in `content` is no part here.
    """

    def __init__(self, fields: MessageFields, sent: SentObject) -> None:
        self.fields = fields
        self.sent = sent
        self.part_source = FROM_PARTS
        self.parts = self._parts(FROM_PARTS, fields.content_parts)
        content = bytes(fields.content)
        self.is_plain = content[:1] == b'"'
        self.content: str | None = None
        if self.is_plain:
            self.content = msgspec.json.decode(content)
        elif content != NULL and (self.parts or content[:1] != b"["):
            self.content = content.decode()
        if not self.parts:
            self.part_source = FROM_CONTENT
            self.parts = self._parts(FROM_CONTENT, fields.content)

    @property
    def text(self) -> str | None:
        """The text to read: the parts' texts joined by a newline, else the content."""
        if not self.parts:
            return self.content
        texts = [part.text for part, _ in self.parts if isinstance(part.text, str)]
        return "\n".join(texts) if texts else None

    def _parts(self, key: str, array: msgspec.Raw) -> list[tuple[PartFields, SentObject]]:
        text = bytes(array)
        return read_parts(self.sent.member(key, text)) if text[:1] == b"[" else []

    def says_the_same_as(self, other: Content) -> bool:
        """Whether both are the same utterance (tool calls compared where both have them)."""
        if self._spellings().isdisjoint(other._spellings()) or self._others() != other._others():
            return False
        calls, others = self.fields.tool_calls, other.fields.tool_calls
        return NULL in {bytes(calls), bytes(others)} or _same_json(calls, others)

    def _spellings(self) -> set[str]:
        """The text, and `content`, which joins the parts' texts in another way (api-behaviour)."""
        return {said for said in (self.content, self.text) if said} or {""}

    def _others(self) -> list[bytes]:
        """The parts that are no texts: images."""
        return [sent.clean for part, sent in self.parts if not isinstance(part.text, str)]


@dataclass(frozen=True, slots=True)
class Reply:
    """One choice: its index, its other fields, and what it says."""

    index: int
    choice: ChoiceFields
    content: Content


def read_replies(completion: Completion) -> list[Reply] | None:
    """Return the replies of a completion, each with an index of its own.

    A choice without a usable index, or with one that an earlier choice has, gets the lowest that is
    free. None where `choices` is no array.
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
        if Content(last.fields, last.sent).says_the_same_as(replies[position].content):
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
