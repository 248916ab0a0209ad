"""Which lines repeat others: the same line, the same inputs, or an earlier turn."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Literal

from chatlake.exports.chat_content import plain_text
from chatlake.exports.stored import Json, as_list

Dedupe = Literal["exact", "input", "longest", "none"]


class Digests:
    """A set of digests on disk, so that memory does not grow with the export."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "digests.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE digests (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Close the set; its file is removed with its folder."""
        self._database.close()

    def add(self, digest: bytes) -> bool:
        """Add a digest; returns whether it is new."""
        found = self._database.execute("INSERT OR IGNORE INTO digests VALUES (?)", (digest,))
        return found.rowcount > 0

    def __contains__(self, digest: bytes) -> bool:
        found = self._database.execute("SELECT 1 FROM digests WHERE digest = ?", (digest,))
        return found.fetchone() is not None


def line_digest(line: Json) -> bytes:
    """Return a digest of a complete line, without its weights."""
    messages = [_bare(message) for message in line["messages"]]
    return _digest([messages, line.get("tools")])


def input_digest(line: Json) -> bytes:
    """Return a digest of what the model was asked: all but the reply."""
    return _digest([[_bare(message) for message in line["messages"][:-1]], line.get("tools")])


def turn_digests(line: Json) -> list[bytes]:
    """Return a digest of the conversation up to each of its replies; the last is the whole line."""
    digest = hashlib.sha256()
    found = []
    for message in line["messages"]:
        digest.update(_text(_bare(message)) + b"\n")
        if message["role"] == "assistant":
            found.append(digest.digest())
    return found


def _bare(message: Json) -> Json:
    """Return what a message says, however it was sent: text in one part equals a string."""
    bare = {key: value for key, value in message.items() if key not in ("weight", "name")}
    parts = as_list(bare.get("content"))
    if len(parts) == 1 and parts[0]["type"] == "text":
        bare["content"] = plain_text(parts)
    return bare


def _digest(value: object) -> bytes:
    return hashlib.sha256(_text(value)).digest()


def _text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
