"""Completions and their input messages as JSON values, oldest first, to build lines from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import duckdb

from chatlake.exports.conversations import Conversation, MissingMessages, read_conversations
from chatlake.exports.selection import reading
from chatlake.exports.stored_images import StoredImages
from chatlake.lake.lake import Lake
from chatlake.model.image_references import restore_references

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LATEST: Final = 253_402_300_799  # the last second of the year 9999

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """One completion: images as data URLs, halves of surrogate pairs as U+FFFD.

    `inputs` are the input messages in order, None if the lake does not have them all. `problem`
    is the reason if it cannot be read, else None.
    """

    source: str
    completion_id: str
    created_date: str
    completion: Json
    inputs: list[Json] | None
    problem: str | None = None

    @property
    def choices(self) -> list[Json]:
        """The choices in the order sent; one that is not an object counts as empty."""
        return [as_object(choice) for choice in as_list(self.completion.get("choices"))]

    @property
    def created_at(self) -> datetime:
        """When it was created, UTC; the start of its day if the API gives no usable time."""
        created = self.completion.get("created")
        if isinstance(created, int) and not isinstance(created, bool) and 0 <= created <= _LATEST:
            return datetime.fromtimestamp(created, UTC)
        return datetime.fromisoformat(self.created_date).replace(tzinfo=UTC)

    @property
    def metadata(self) -> Json:
        """The metadata, empty if there are none."""
        return as_object(self.completion.get("metadata"))


def as_list(value: object) -> list[Any]:
    """Return an array unchanged, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_object(value: object) -> Json:
    """Return an object unchanged, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def read_stored(lake: Lake, connection: duckdb.DuckDBPyConnection) -> Iterator[Stored]:
    """Yield what `connection` has in its table `selected`; ChatlakeError as `export_raw`."""
    reader = _Reader(lake)
    with reading(lake):
        for conversation in read_conversations(lake, connection):
            yield reader.read(conversation)


def parse(text: bytes) -> Any:
    """Return a JSON text's value; ValueError or RecursionError if Python cannot represent it."""
    value = json.loads(text)
    return _mended(value) if b"\\ud" in text or b"\\uD" in text else value


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value


class _Reader:
    def __init__(self, lake: Lake) -> None:
        self._missing = MissingMessages(lake)
        self._images = StoredImages(lake)

    def read(self, conversation: Conversation) -> Stored:
        partition = conversation.partition
        head = (partition.source, conversation.completion_id, partition.created_date)
        if conversation.raw is None:
            return Stored(*head, {}, None, "completion_missing")
        is_missing = self._missing.of(conversation)
        texts = list(conversation.messages)
        try:
            completion = as_object(self._parse(conversation.raw, conversation))
            # A reply that `/messages` repeats comes after the inputs.
            count = len(texts) - len(as_list(completion.get("choices")))
            inputs = [as_object(self._parse(text, conversation)) for text in texts[:count] if text]
        except (ValueError, RecursionError):
            return Stored(*head, {}, None, "unreadable")
        return Stored(*head, completion, None if is_missing else inputs)

    def _parse(self, text: str, conversation: Conversation) -> Any:
        def load(sha256: str) -> bytes | None:
            return self._images.load(conversation.partition, sha256)

        return parse(restore_references(text.encode(), load))
