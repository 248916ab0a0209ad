"""One completion whose columns differ from its objects: which of them do not match.

Not every difference is a forgery. The lake keeps messages that it fetched once, even if the
completion has changed since (decision 19). A lost file leaves completions without some of their
messages. An image whose bytes are not stored cannot be put back into the text. So each row is
compared with its own `raw`, with images put back if the lake has them. Values that depend on other
rows are compared only if those still match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatlake.backup.rows import columns_of
from chatlake.errors import InvalidResponseError
from chatlake.lake.files.arrow import to_table
from chatlake.model.content import Content
from chatlake.model.flatten import INPUT, OUTPUT, Observation, Row, flatten
from chatlake.model.image_references import MARK, read_reference, restore_references
from chatlake.model.objects import Completion, Message
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, MESSAGES
from chatlake.verify.agreement import by_owner, has_mark, same_text
from chatlake.verify.derived import DERIVED, RowsOf, read_stored

LoadImage = Callable[[str], bytes | None]
"""Returns the bytes of an image by SHA-256, None if the lake does not have it."""

_NEVER: Final = Observation("", 0, 0)
# For an incomplete completion these are NULL; otherwise the counts are compared with the rows.
_OF_THE_WHOLE: Final = frozenset({"message_count", "image_count", "digest"})
# The columns of a message that depend on its place among others, or on its choice.
_OF_THE_PLACE: Final = frozenset(
    {"message_id", "message_index", "direction", "choice_index", "finish_reason", "echo_raw",
     "created_at", "model", "part_count"}
)  # fmt: skip
_OF_THE_IMAGE: Final = frozenset({"media_type", "image_bytes", "image_url", "image_sha256"})

Stored = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A column of a table that does not match `raw` of the same object."""

    table: str
    column: str
    example: str


def differences(
    completion_id: str, rows: RowsOf, load: LoadImage, unreadable: str | None
) -> Iterator[Difference]:
    """Yield what is wrong with one completion; `rows`: its stored rows by table.

    `unreadable`: why its objects cannot be read, if so.
    """
    heads = rows[COMPLETIONS].get(completion_id, [])
    messages = rows[MESSAGES].get(completion_id, [])
    parts = rows[CONTENT_PARTS].get(completion_id, [])
    head = heads[0] if heads else {}
    if head.get("raw") is None and head.get("raw_exact") is None:
        if head.get("digest") is not None or unreadable:
            yield Difference(COMPLETIONS, "raw", completion_id)
        return  # a lost file left the bare row
    try:
        text, is_restored = _restored(_text(head), load)
        completion, _ = read_stored(completion_id, text, ())
    except InvalidResponseError:
        yield Difference(COMPLETIONS, "raw", completion_id)
        return
    derived = _flattened(completion, ())
    own = derived[COMPLETIONS][completion_id][0]
    without = _OF_THE_WHOLE - {"digest"}
    if head["digest"] is None or has_mark(_text(head)):
        without = _OF_THE_WHOLE
    for column in _different(head, own, without, is_restored=is_restored):
        yield Difference(COMPLETIONS, column, completion_id)
    replies = {row["message_id"]: row for row in derived[MESSAGES].get(completion_id, [])}
    for message in messages:
        mine = [part for part in parts if part["message_id"] == message["message_id"]]
        reply = replies.get(message["message_id"])
        yield from _of_message(message, mine, load, reply)
        yield from _of_reply(message, reply)
    yield from _of_the_completion(head, messages, parts)


def _of_the_completion(
    head: Stored, messages: Sequence[Stored], parts: Sequence[Stored]
) -> Iterator[Difference]:
    """Compare what messages and parts repeat of their completion."""
    for table, found in ((MESSAGES, messages), (CONTENT_PARTS, parts)):
        for row in found:
            if row["created_at"] != head["created_at"]:
                yield Difference(table, "created_at", row["message_id"])
    # Messages that were kept may be from another model, but then all of them are.
    if len({message["model"] for message in messages}) > 1:
        for message in messages:
            if message["model"] != head["model"]:
                yield Difference(MESSAGES, "model", message["message_id"])


def _of_message(
    message: Stored,
    parts: Sequence[Stored],
    load: LoadImage,
    reply: Stored | None,
) -> Iterator[Difference]:
    """Compare a message and its parts with what the message's own object gives.

    `reply`: what the completion gives under the same id.
    """
    name = message["message_id"]
    if message["raw"] is None:
        yield Difference(MESSAGES, "raw", name)
        return
    text, is_restored = _restored(_text(message), load)
    try:
        completion, sent = read_stored("x", b'{"id": "x"}', [text.decode()])
    except InvalidResponseError:
        # In a choice a message may be anything, and then it has no fields.
        if reply is None or not same_text(_text(message), _text(reply)):
            yield Difference(MESSAGES, "raw", name)
            return
        for column in _different(message, reply, _OF_THE_PLACE, is_restored=True):
            yield Difference(MESSAGES, column, name)
        return
    derived = _flattened(completion, sent)
    own = derived[MESSAGES]["x"][0]
    for column in _different(
        message, own, _OF_THE_PLACE | {"completion_id"}, is_restored=is_restored
    ):
        yield Difference(MESSAGES, column, name)
    if message["echo_raw"] is not None and not _repeats(message["echo_raw"], sent[0], load):
        yield Difference(MESSAGES, "echo_raw", name)
    twins = derived[CONTENT_PARTS].get("x", [])
    yield from _of_parts(message, parts, twins, is_restored=is_restored)


def _of_parts(
    message: Stored, parts: Sequence[Stored], twins: Sequence[Stored], *, is_restored: bool
) -> Iterator[Difference]:
    """Compare the parts of a message with those that its object gives (`twins`)."""
    name = message["message_id"]
    if not parts and message["part_count"]:
        return  # they are lost, and the counts say so
    if len(parts) != len(twins):
        yield Difference(CONTENT_PARTS, "part_index", name)
        return
    for part, twin in zip(parts, twins, strict=True):
        place = ("completion_id", "message_id", "message_index", "direction")
        expected = twin | {column: message[column] for column in place}
        without = {"created_at"}
        if not is_restored:
            yield from _of_kept_reference(part, twin, name)
            without |= _OF_THE_IMAGE
        for column in _different(part, expected, frozenset(without), is_restored=is_restored):
            yield Difference(CONTENT_PARTS, column, name)


def _repeats(echo: str, reply: Message, load: LoadImage) -> bool:
    """Whether `/messages` sent the reply again; otherwise it would be a separate message."""
    text, _ = _restored(echo, load)
    try:
        _, sent = read_stored("x", b'{"id": "x"}', [text.decode()])
    except InvalidResponseError:
        return False
    said, replied = (Content(each.fields, each.sent) for each in (sent[0], reply))
    return said.repeats(replied)


def _of_kept_reference(part: Stored, twin: Stored, name: str) -> Iterator[Difference]:
    """Compare an image whose bytes the lake does not have with the reference in its place."""
    url = twin["image_url"]
    reference = None if url is None else read_reference(url)
    if reference is None:
        for column in sorted(_OF_THE_IMAGE):
            if part[column] != twin[column]:
                yield Difference(CONTENT_PARTS, column, name)
        return
    if part["image_sha256"] != reference.sha256:
        yield Difference(CONTENT_PARTS, "image_sha256", name)
    if part["image_url"] is not None:
        yield Difference(CONTENT_PARTS, "image_url", name)
    if not reference.is_bare and part["media_type"] != reference.media_type:
        yield Difference(CONTENT_PARTS, "media_type", name)


def _of_reply(message: Stored, reply: Stored | None) -> Iterator[Difference]:
    """Compare a message's columns about its choice with the choice, if that is still the same."""
    name, index = message["message_id"], message["choice_index"]
    is_output = message["direction"] == OUTPUT
    named = name == f"{message['completion_id']}-choice-{index}"
    if message["direction"] not in (INPUT, OUTPUT) or is_output != (index is not None):
        yield Difference(MESSAGES, "direction", name)
    elif is_output and not named:
        yield Difference(MESSAGES, "choice_index", name)
    elif not is_output and message["finish_reason"] is not None:
        yield Difference(MESSAGES, "finish_reason", name)
    elif is_output and reply is not None and same_text(_text(message), _text(reply)):
        for column in ("finish_reason", "model"):
            if message[column] != reply[column]:
                yield Difference(MESSAGES, column, name)


def _different(
    stored: Stored, derived: Stored, without: frozenset[str], *, is_restored: bool
) -> Iterator[str]:
    for name, value in stored.items():
        twin = derived[name]
        if name in without or value == twin:
            continue
        if isinstance(value, str) and isinstance(twin, str) and same_text(value, twin):
            continue
        if not is_restored and isinstance(twin, str) and MARK in twin:
            continue  # the text has a reference, while the column may have the image itself
        yield name


def _flattened(completion: Completion, messages: Sequence[Message]) -> RowsOf:
    flat = flatten(completion, messages, _NEVER)
    found: dict[str, list[Row]] = {
        COMPLETIONS: [flat.completion],
        MESSAGES: flat.messages,
        CONTENT_PARTS: flat.content_parts,
    }
    return {
        table: by_owner(to_table(table, columns_of(table, rows)).select(list(DERIVED[table])))
        if rows
        else {}
        for table, rows in found.items()
    }


def _restored(text: str, load: LoadImage) -> tuple[bytes, bool]:
    """Put images back; also return whether all of them could be."""
    whole = restore_references(text.encode(), load)
    return whole, MARK.encode() not in whole


def _text(row: Stored) -> str:
    exact = row.get("raw_exact")
    return str(row["raw"] if exact is None else exact)
