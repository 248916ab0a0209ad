"""A server on loopback that repeats what it was sent, in one of many ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from tests.loopback_server import JSON, Handler, listening
from tests.support import NOW


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; `said` is everything in it that the sender chose."""

    path: str
    headers: Mapping[str, str]

    @property
    def said(self) -> str:
        """The address, the parameters decoded, and the headers."""
        sent = [self.path, *(value for _, value in parse_qsl(urlsplit(self.path).query))]
        return " ".join([*sent, *(value.partition(" ")[2] or value for value in self.all)])

    @property
    def all(self) -> list[str]:
        """The values of the headers."""
        return list(self.headers.values())


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class EchoServer:
    """`answer` decides what a request gets."""

    answer: Callable[[Request], Reply]
    port: int = 0

    @property
    def base_url(self) -> str:
        """Its address, for a source."""
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def serving(answer: Callable[[Request], Reply]) -> Iterator[EchoServer]:
    """Serve on loopback."""

    class Echo(Handler):
        def reply(self) -> None:
            reply = answer(Request(self.path, dict(self.headers.items())))
            self.respond(reply.status, reply.body, {**JSON, **reply.headers})

    with listening(Echo) as port:
        yield EchoServer(answer, port)


def completion(completion_id: str, text: str) -> dict[str, object]:
    """Return a stored completion whose reply is this text."""
    return {
        "object": "chat.completion",
        "id": completion_id,
        "model": "gpt-4o-mini",
        "created": NOW,
        "metadata": {},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}],
    }


def page(*rows: dict[str, object]) -> bytes:
    """Return a list of rows, the only page."""
    return json.dumps({"object": "list", "data": rows, "has_more": False}).encode()
