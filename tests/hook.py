"""An address on loopback that takes what `notify` posts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

PATH = "/services/very-secret"


@dataclass(slots=True)
class Hook:
    """Takes notifications: answers `statuses` in turn, the last for ever."""

    statuses: list[int]
    location: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Its address, with what nobody may see."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    def take(self, document: dict[str, Any]) -> int:
        """Keep a notification; returns the status to answer."""
        self.posted.append(document)
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def hook(*statuses: int, location: str = "") -> Iterator[Hook]:
    """Serve such an address on loopback."""
    taking = Hook(list(statuses), location)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(taking.take(json.loads(body)))
            if taking.location:
                self.send_header("Location", taking.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taking.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield taking
        server.shutdown()
        thread.join()
