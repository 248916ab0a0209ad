"""A source that sends just the bytes that a test gives it, however they are spelled."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.loopback_server import Handler, listening


@dataclass
class Planted:
    """A source: completion id -> its JSON, and the JSON of each of its messages, oldest first."""

    base_url: str = ""
    completions: dict[str, bytes] = field(default_factory=dict)
    messages: dict[str, list[bytes]] = field(default_factory=dict)
    refusals: dict[str, bytes] = field(default_factory=dict)

    def add(self, completion: bytes, *messages: bytes) -> str:
        """Add a completion with its messages."""
        name = str(json.loads(completion)["id"])
        self.completions[name] = completion
        self.messages[name] = list(messages)
        return name

    def answer(self, address: str) -> tuple[int, bytes]:
        """Return status and body for a path with its query."""
        parts = urlsplit(address)
        steps = parts.path.strip("/").split("/")[3:]
        after = parse_qs(parts.query).get("after", [None])[0]
        if not steps:
            return 200, _page(self.completions, after)
        if steps[0] not in self.completions:
            return 404, b'{"error": {"message": "not found"}}'
        if len(steps) == 1:
            return 200, self.completions[steps[0]]
        if steps[0] in self.refusals:
            return 400, self.refusals[steps[0]]
        found = self.messages[steps[0]]
        return 200, _page({json.loads(each)["id"]: each for each in found}, after)


def _page(rows: dict[str, bytes], after: str | None) -> bytes:
    names = list(rows)
    names = names[names.index(after) + 1 :] if after in rows else names
    data = b", ".join(rows[name] for name in names)
    return b'{"object": "list", "data": [%b], "has_more": false}' % data


@contextlib.contextmanager
def planted() -> Iterator[Planted]:
    """Run such a source on loopback."""
    source = Planted()

    class Sending(Handler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            self.respond(*source.answer(self.path))

    with listening(Sending) as port:
        source.base_url = f"http://127.0.0.1:{port}/v1"
        yield source
