"""The tool calls that the API does not store with input messages, found in earlier completions.

For an input message, the service stores only role, name and content. An assistant message that only
made tool calls comes back empty. But the call was the reply of an earlier completion, if that was
stored too: the one whose inputs and reply are the conversation up to that message.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from chatlake.exports.stored import Json, Stored, as_list, as_object

_TABLE: Final = "CREATE TABLE calls (prefix BLOB PRIMARY KEY, same BLOB, calls TEXT) WITHOUT ROWID"
# Two replies that differ in more than the calls' ids are ambiguous.
_ADD: Final = """
INSERT INTO calls VALUES (?, ?, ?) ON CONFLICT (prefix) DO UPDATE SET
    calls = CASE WHEN same = excluded.same THEN min(calls, excluded.calls) END,
    same = CASE WHEN same = excluded.same THEN same ELSE x'' END
"""


class CallsRepair:
    """An index on disk: a digest of a conversation's beginning -> the tool calls at its end."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "calls.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(_TABLE)
        self.repaired_messages = 0

    def close(self) -> None:
        """Close the index; its file is removed with its folder."""
        self._database.close()

    def add_all(self, completions: Iterable[Stored]) -> None:
        """Add the replies of completions that made tool calls."""
        self._database.execute("BEGIN")
        for stored in completions:
            self._add(stored)
        self._database.execute("COMMIT")

    def _add(self, stored: Stored) -> None:
        if stored.inputs is None:
            return
        for choice in stored.choices:
            reply = as_object(choice.get("message"))
            calls = as_list(reply.get("tool_calls"))
            if calls:
                *_, digest = _prefixes(stored.source, [*stored.inputs, reply])
                without_ids = [{**as_object(call), "id": None} for call in calls]
                same = hashlib.sha256(_text(without_ids)).digest()
                self._database.execute(_ADD, (digest, same, _text(calls).decode()))

    def repaired(self, source: str, inputs: list[Json]) -> list[Json]:
        """Return the inputs with calls and the answers' ids filled in where they can be found."""
        if not any(_lacks_calls(inputs, place) for place in range(len(inputs))):
            return inputs
        filled = [*inputs]
        for place, digest in enumerate(_prefixes(source, inputs)):
            if _lacks_calls(inputs, place) and (calls := self._find(digest)):
                filled[place] = {**inputs[place], "tool_calls": calls}
                _name_answers(filled, place + 1, calls)
                self.repaired_messages += 1
        return filled

    def _find(self, digest: bytes) -> list[Json]:
        row = self._database.execute("SELECT calls FROM calls WHERE prefix = ?", (digest,))
        found = row.fetchone()
        return [] if found is None or found[0] is None else as_list(json.loads(found[0]))


def _lacks_calls(inputs: list[Json], place: int) -> bool:
    """Whether a message is an assistant's whose tool calls were not stored."""
    message = inputs[place]
    if message.get("role") != "assistant" or message.get("tool_calls"):
        return False
    answered = place + 1 < len(inputs) and inputs[place + 1].get("role") == "tool"
    return answered or not (message.get("content") or message.get("content_parts"))


def _name_answers(messages: list[Json], start: int, calls: list[Json]) -> None:
    """Give the calls' ids, in order, to the answers that follow and have no id."""
    end = start
    while end < len(messages) and messages[end].get("role") == "tool":
        end += 1
    answers = messages[start:end]
    if len(answers) == len(calls) and not any(answer.get("tool_call_id") for answer in answers):
        for place, call in zip(range(start, end), calls, strict=True):
            messages[place] = {**messages[place], "tool_call_id": as_object(call).get("id")}


def _prefixes(source: str, messages: list[Json]) -> Iterable[bytes]:
    """Yield a digest of the conversation up to each message, from what the service stores."""
    digest = hashlib.sha256(source.encode())
    for message in messages:
        parts = as_list(message.get("content_parts"))
        content = None if parts else message.get("content") or None
        kept = [message.get("role"), content, parts or None]
        digest.update(_text(kept) + b"\n")
        yield digest.digest()


def _text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
