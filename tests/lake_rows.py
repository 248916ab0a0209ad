"""Small rows for the lake's tests: one completion, its messages, parts, image and history."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from chatlake.lake.files.arrow import to_table
from chatlake.lake.files.parts import write_part
from chatlake.model.manifest import PartFile
from chatlake.model.partitions import Partition
from chatlake.model.tables import COLUMNS
from chatlake.storage.interface import Storage

DAY = Partition("openai", "2026-01-02")
NOON = int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp())
SEEN = datetime(2026, 1, 3, 2, tzinfo=UTC)
MICRO = 1_000_000


def columns(table: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns; what a row does not say is None."""
    for row in rows:
        assert set(row) <= set(COLUMNS[table]), set(row) - set(COLUMNS[table])
    return {name: [row.get(name) for row in rows] for name in COLUMNS[table]}


def completion(key: str, created: int = NOON, **more: Any) -> dict[str, Any]:
    """One row of completions; the digest follows from the id."""
    row = {
        "completion_id": key,
        "created_at": created * MICRO,
        "model": "gpt-4o",
        "choice_count": 1,
        "message_count": 2,
        "image_count": 0,
        "first_seen_at": SEEN,
        "synced_at": SEEN,
        "run_id": "run-1",
        "raw": f'{{"id":"{key}"}}',
        "digest": digest(key),
    }
    return {**row, **more}


def message(key: str, index: int, created: int = NOON, **more: Any) -> dict[str, Any]:
    """One row of messages."""
    row = {
        "completion_id": key,
        "message_id": f"{key}-{index}",
        "message_index": index,
        "direction": "input",
        "role": "user",
        "part_count": 0,
        "created_at": created * MICRO,
        "model": "gpt-4o",
        "raw": "{}",
    }
    return {**row, **more}


def lost_message(key: str, index: int, created: int = NOON, **more: Any) -> dict[str, Any]:
    """One row of message_history."""
    row = message(key, index, created)
    kept = {name: row[name] for name in row if name in COLUMNS["message_history"]}
    return {**kept, "observed_at": SEEN, **more}


def part(key: str, index: int, created: int = NOON, **more: Any) -> dict[str, Any]:
    """One row of content_parts."""
    row = {
        "completion_id": key,
        "message_id": f"{key}-0",
        "message_index": 0,
        "direction": "input",
        "part_index": index,
        "type": "text",
        "part_source": "content_parts",
        "created_at": created * MICRO,
        "raw": "{}",
    }
    return {**row, **more}


def image(data: bytes, **more: Any) -> dict[str, Any]:
    """One row of images."""
    row = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "media_type": "image/png",
        "byte_size": len(data),
        "data": data,
    }
    return {**row, **more}


def digest(text: str) -> bytes:
    """Return sixteen bytes that stand for a version."""
    return hashlib.sha256(text.encode()).digest()[:16]


def write(storage: Storage, table: str, found: list[dict[str, Any]]) -> PartFile:
    """Write rows of one table into one part."""
    file = write_part(storage, table, DAY, [to_table(table, columns(table, found))])
    assert file is not None
    return file
