"""An address on loopback that takes what `notify` sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            status = taking.take(self.command, self.path, body)
            text = b"" if status == HTTPStatus.NO_CONTENT else taking.answer.encode()
            self.send_response(status)
            if taking.location:
                self.send_header("Location", taking.location)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taking.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield taking
        server.shutdown()
        thread.join()
