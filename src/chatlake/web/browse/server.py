"""The server of `chatlake browse`, on loopback: in the foreground, or in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from chatlake.errors import ChatlakeError
from chatlake.lake.lake import Lake
from chatlake.web.browse.app import make_app
from chatlake.web.browse.catalogue import PATIENCE_S, Catalogue
from chatlake.web.browse.guard import TOKEN, Guard

HOST: Final = "127.0.0.1"
PORT: Final = 8787
_BACKLOG: Final = 128
_START_S: Final = 20.0
_STOP_S: Final = 10.0


class BrowseServer:
    """Serves one lake's pages on a loopback port. `address` is the one that grants access."""

    def __init__(self, lake: Lake, port: int | None, *, patience_s: float = PATIENCE_S) -> None:
        """Listen on `port`; 0: a free one; None: 8787, or a free one if that is taken.

        ChatlakeError if the port cannot be used.
        """
        self._socket = _listening(port)
        number = self._socket.getsockname()[1]
        self.catalogue = Catalogue(lake, patience_s=patience_s)
        hosts = [f"{name}:{number}" for name in (HOST, "localhost")]
        self._guard = Guard(make_app(self.catalogue), hosts, f"chatlake-{number}")
        self.base_url = f"http://{HOST}:{number}"
        self.address = f"{self.base_url}/?{TOKEN}={self._guard.token}"

    def run(self, announce: Callable[[str], None] | None = None) -> None:
        """Serve until a signal arrives; `announce` gets the address first."""
        if announce is not None:
            announce(self.address)
        server = self._server()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[self._socket])
        finally:
            self.catalogue.close()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve in a thread during the block."""
        server = self._server()
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        thread.start()
        deadline = time.monotonic() + _START_S
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        try:
            if not server.started:
                raise ChatlakeError("the web server did not start")
            yield
        finally:
            server.should_exit = True
            thread.join(_STOP_S)
            self.catalogue.close()
            self._socket.close()

    def _server(self) -> uvicorn.Server:
        config = uvicorn.Config(
            self._guard,
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="critical",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config)


def _listening(port: int | None) -> socket.socket:
    if port is None:
        with contextlib.suppress(OSError):
            return _listening_on(PORT)
    try:
        return _listening_on(port or 0)
    except OSError as problem:
        why = problem.strerror or str(problem)
        if port:
            raise ChatlakeError(
                f"cannot listen on {HOST}:{port}: {why}",
                hint="Choose another port with --port (0 takes a free one).",
            ) from problem
        raise ChatlakeError(
            f"cannot listen on any port of {HOST}: {why}",
            hint="Allow chatlake to listen on loopback, and end programs that hold many ports.",
        ) from problem


def _listening_on(port: int) -> socket.socket:
    """Return a socket that listens on the port; OSError if it cannot be used."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
