"""An address on loopback that takes what `notify` sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from tests.loopback_server import Handler, listening

PATH = "/services/very-secret"


@dataclass(slots=True)
class Hook:
    """Takes notifications: answers with `statuses` in turn, then with the last, and `answer`.

    `posted`: the JSON documents. `pings`: method, path below its own, and text of all the others.
    """

    statuses: list[int]
    location: str = ""
    answer: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)
    pings: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Its address, which contains a secret."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    def take(self, method: str, path: str, body: str) -> int:
        """Keep a message; returns the status to answer."""
        if body.startswith("{"):
            self.posted.append(json.loads(body))
        else:
            self.pings.append((method, path.removeprefix(PATH), body))
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def hook(*statuses: int, location: str = "", answer: str = "") -> Iterator[Hook]:
    """Serve such an address on loopback."""
    taking = Hook(list(statuses), location, answer)

    class Taking(Handler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            status = taking.take(self.command, self.path, body)
            text = b"" if status == HTTPStatus.NO_CONTENT else taking.answer.encode()
            self.respond(status, text, {"Location": taking.location} if taking.location else {})

        do_POST = Handler.do_GET  # noqa: N815

    with listening(Taking) as taking.port:
        yield taking
