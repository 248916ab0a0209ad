"""One conversation from the views: a completion, its messages in order and their parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb

_COMPLETIONS: Final = "FROM completions WHERE completion_id = $id ORDER BY created_at, source"
_OF_ONE: Final = """
WHERE source = $source AND created_date = $day AND completion_id = $id
ORDER BY message_index
"""
_VERSIONS: Final = """
SELECT observed_at, change FROM completion_history
WHERE source = $source AND created_date = $day AND completion_id = $id
ORDER BY observed_at
"""
_GAP: Final = """
FROM failures WHERE completion_id = $id ORDER BY source
"""
_IMAGES: Final = """
SELECT sha256, width, height FROM images
WHERE source = $source AND created_date = $day AND list_contains($hashes, sha256)
"""

Record = Mapping[str, Any]
"""One row of a view: column -> value."""


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A completion as the views show it.

    `parts` has the content parts of each message by its index; `sizes` the width and height in
    pixels of each embedded image by its SHA-256; `versions` says when a backup saw which change.
    """

    completion: Record
    messages: tuple[Record, ...]
    parts: Mapping[int, tuple[Record, ...]]
    sizes: Mapping[str, tuple[int | None, int | None]]
    versions: tuple[Record, ...]


def completions_of(
    connection: duckdb.DuckDBPyConnection, completion_id: str, source: str | None = None
) -> list[Record]:
    """Return the completions with an id, oldest first: one for each source (and day).

    Raises duckdb.Error.
    """
    found = _records(connection, _COMPLETIONS, {"id": completion_id})
    return [row for row in found if source in (None, row["source"])]


def gaps_of(connection: duckdb.DuckDBPyConnection, completion_id: str) -> list[Record]:
    """Return the open failures of an id that could not be fetched; raises duckdb.Error."""
    return _records(connection, _GAP, {"id": completion_id})


def conversation_of(
    connection: duckdb.DuckDBPyConnection, completion: Record
) -> StoredConversation:
    """Return the conversation of a completion; raises duckdb.Error."""
    key = {
        "source": completion["source"],
        "day": completion["created_date"],
        "id": completion["completion_id"],
    }
    messages = _records(connection, f"FROM messages {_OF_ONE}", key)
    parts: dict[int, tuple[Record, ...]] = {}
    for row in _records(connection, f"FROM content_parts {_OF_ONE}, part_index", key):
        index = row["message_index"]
        parts[index] = (*parts.get(index, ()), row)
    hashes = sorted({row["image_sha256"] for rows in parts.values() for row in rows} - {None})
    sizes = {}
    if hashes:
        asked = {"source": key["source"], "day": key["day"], "hashes": hashes}
        sizes = {
            row["sha256"]: (row["width"], row["height"])
            for row in _records(connection, _IMAGES, asked)
        }
    versions = _records(connection, _VERSIONS, key)
    return StoredConversation(completion, tuple(messages), parts, sizes, tuple(versions))


def _records(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any]
) -> list[Record]:
    rows = connection.execute(query, dict(parameters)).fetchall()
    names = [column[0] for column in connection.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]
