"""One completion as the lake has it and as the source sends it now, compared by value."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from chatlake.lake.files.arrow import to_values
from chatlake.lake.lake import Lake
from chatlake.model.digest import completion_digest
from chatlake.model.flatten import Observation, flatten
from chatlake.model.json_text import read_sent
from chatlake.model.objects import Completion, Message
from chatlake.model.partitions import Partition
from chatlake.model.redaction.rules import Redacted, Redaction
from chatlake.model.tables import COLUMNS, COMPLETIONS, CONTENT_PARTS, MESSAGES
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.derived import slices

Values = dict[str, dict[Any, Any]]
"""Table -> key -> the digest of the object's JSON, or the hash of its image."""

_NEVER: Final = Observation("", 0, 0)
_PART: Final = ("message_id", "part_index", "image_sha256")


def stored_values(
    lake: Lake, partition: Partition, completion_id: str, redaction: Redaction | None = None
) -> Values:
    """Return what the lake has of a completion; nothing if it is no longer there.

    `redaction` is applied to the stored texts, because earlier runs may have stored them without.
    """
    storage = RereadingStorage(lake.storage, time.sleep)
    files = lake.state.partition_files(partition)
    for found in slices(storage, files, [completion_id], {}):
        columns = {
            table: {name: to_values(rows[name]) for name in rows.column_names}
            for table, rows in found.stored.items()
        }
        return _values(columns, redaction)
    return {}


def difference(
    completion: Completion,
    messages: Sequence[Message],
    stored: Values,
    *,
    keep_images: bool,
    redaction: Redaction | None = None,
) -> Literal["none", "more stored", "value"]:
    """Say how the lake differs from what the source sends now.

    Objects are equal if their JSON values are; the order of keys does not matter. `more stored`:
    everything sent is stored, plus messages that the source no longer sends, which the lake keeps
    on purpose. `keep_images`: whether the lake keeps the bytes of images. `redaction` is applied to
    both sides before they are compared.
    """
    flat = flatten(completion, messages, _NEVER, keep_images=keep_images)
    rows = {
        COMPLETIONS: [flat.completion],
        MESSAGES: flat.messages,
        CONTENT_PARTS: flat.content_parts,
    }
    sent = _values(
        {
            table: {
                name: [row[place] for row in found] for place, name in enumerate(COLUMNS[table])
            }
            for table, found in rows.items()
        },
        redaction,
    )
    if sent == stored:
        return "none"
    if not stored or sent[COMPLETIONS] != stored[COMPLETIONS]:
        return "value"
    is_kept = all(sent[table].items() <= stored[table].items() for table in sent)
    return "more stored" if is_kept else "value"


def _values(columns: dict[str, dict[str, list[Any]]], redaction: Redaction | None = None) -> Values:
    found: Values = {}
    redact: dict[str, Callable[[bytes], Redacted] | None] = {COMPLETIONS: None, MESSAGES: None}
    if redaction is not None:
        redact = {COMPLETIONS: redaction.completion, MESSAGES: redaction.message}
    for table, key in ((COMPLETIONS, "completion_id"), (MESSAGES, "message_id")):
        rows = columns[table]
        texts = zip(rows[key], rows["raw"], rows["raw_exact"], strict=True)
        found[table] = {
            name: _digest(raw if exact is None else exact, redact[table])
            for name, raw, exact in texts
        }
    if redaction is not None and redaction.drops_images:
        return found | {CONTENT_PARTS: {}}  # earlier runs may have stored images
    parts = zip(*(columns[CONTENT_PARTS][name] for name in _PART), strict=True)
    found[CONTENT_PARTS] = {(name, index): sha256 for name, index, sha256 in parts}
    return found


def _digest(text: str | None, redact: Callable[[bytes], Redacted] | None) -> bytes | None:
    if text is None:
        return None
    sent = text.encode()
    return completion_digest(read_sent(sent if redact is None else redact(sent).text))
