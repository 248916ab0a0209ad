"""HTTP servers on loopback whose responses a test writes: one way to start and stop them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

JSON = {"Content-Type": "application/json"}


class Handler(BaseHTTPRequestHandler):
    """Sends whole responses, and logs nothing; `reply` is left to the test."""

    def do_GET(self) -> None:
        """Serve a request."""
        self.reply()

    def reply(self) -> None:
        """Send the response to this request."""
        raise NotImplementedError

    def respond(self, status: int, body: bytes = b"", headers: Mapping[str, str] = JSON) -> None:
        """Send a response with its length."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


@contextmanager
def listening(handler: type[Handler]) -> Iterator[int]:
    """Serve on a free port until the block ends; gives the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
