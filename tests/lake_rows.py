"""Small rows for the lake's tests: one completion, its messages, parts, image and history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from chatlake.lake.files.arrow import to_table
from chatlake.lake.files.parts import write_part
from chatlake.model.digest import completion_digest
from chatlake.model.json_text import read_sent
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
    """One row of completions; the digest follows from what `raw` says, and that from the row."""
    raw = json.dumps({"id": key, "created": created, "model": "gpt-4o"})
    row = {
        "completion_id": key,
        "created_at": created * MICRO,
        "model": "gpt-4o",
        "message_count": 2,
        "image_count": 0,
        "first_seen_at": SEEN,
        "synced_at": SEEN,
        "run_id": "run-1",
        "raw": raw,
        "digest": completion_digest(read_sent(raw.encode())),
    }
    return {**row, **more}


def message(
    key: str,
    index: int,
    created: int = NOON,
    *,
    parts: Sequence[dict[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    """One row of messages; `parts`: the rows of its content parts."""
    sent = ", ".join(each["raw"] for each in parts)
    row = {
        "completion_id": key,
        "message_id": f"{key}-{index}",
        "message_index": index,
        "direction": "input",
        "role": "user",
        "part_count": len(parts),
        "created_at": created * MICRO,
        "model": "gpt-4o",
        "raw": f'{{"role": "user", "content_parts": [{sent}]}}',
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
    }
    row |= more
    sent: dict[str, Any] = {"type": row["type"]}
    if sha256 := row.get("image_sha256"):
        sent["image_url"] = {"url": f"chatlake-image:{sha256}"}
    return {"raw": json.dumps(sent), **row}


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
