"""A Prefect server for as long as chatlake serves, where the user has none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from chatlake.bootstrap.prefect_database import (
    UNKNOWN_REVISION,
    later_database,
    require_known_database,
)
from chatlake.errors import ChatlakeError

DEFAULT_PORT = 4200
_START_SECONDS = 180.0
_STOP_SECONDS = 15.0
_PORT_TAKEN = "already in use"  # both Prefect and uvicorn say so


class PortTakenError(ChatlakeError):
    """Another program listens on the port."""


class OwnServer:
    """A server on loopback, and whether it still lives.

    `database`: the address of its database; None: the one of your Prefect home.
    """

    def __init__(self, port: int, database: str | None) -> None:
        self.url = f"http://127.0.0.1:{port}/api"
        variables = {
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
            "PREFECT_UI_API_URL": self.url,
        }
        if database is not None:
            variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        # Not among what the runs say: SQLite is busy now and then, which it tells by tracebacks.
        self.log = Path(PREFECT_HOME.value()) / "chatlake-serve.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start"],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def started(self) -> None:
        """Wait until it answers: half a minute in a fresh home. ChatlakeError."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await self._answers():  # noqa: ASYNC110 - nothing tells it
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise ChatlakeError(
                f"the Prefect server does not answer after {_START_SECONDS:.0f} s",
                hint="Start one with `prefect server start` and set PREFECT_API_URL.",
            ) from None

    async def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise self._why_it_ended(self.log.read_text(errors="replace"))
        async with get_client() as client:
            return await client.api_healthcheck() is None

    def _why_it_ended(self, said: str) -> ChatlakeError:
        if UNKNOWN_REVISION in said:
            return later_database("the Prefect server's database")
        kind = PortTakenError if _PORT_TAKEN in " ".join(said.split()) else ChatlakeError
        return kind(
            f"the Prefect server ended as it started (code {self._process.returncode})",
            hint=f"Its messages are in {self.log}.",
        )

    async def ended(self) -> None:
        """Wait until it ends by itself: ChatlakeError."""
        while self._process.poll() is None:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(1.0)
        raise ChatlakeError(
            f"the Prefect server has ended (code {self._process.returncode})",
            hint=f"Its messages are in {self.log}. Start `chatlake serve` again.",
        )

    def stop(self) -> None:
        """End it, at last by force."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.asynccontextmanager
async def own_server(wanted: int | None, database: str | None) -> AsyncIterator[OwnServer]:
    """Run a server on loopback, which this process's Prefect settings name meanwhile.

    `wanted`: its port; None: any. `database`: see OwnServer. ChatlakeError where it does not start.
    """
    require_known_database(database)
    port = free_port(wanted)
    while True:
        server = OwnServer(port, database)
        with temporary_settings({PREFECT_API_URL: server.url}):
            try:
                try:
                    await server.started()
                except PortTakenError:
                    # Another program has taken the port since we looked.
                    if wanted is not None:
                        raise
                    port = free_port(0)
                    continue
                yield server
                return
            finally:
                await asyncio.to_thread(server.stop)


def free_port(wanted: int | None) -> int:
    """Return `wanted`, else the usual port of Prefect, else any that is free. ChatlakeError."""
    for port in (DEFAULT_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ChatlakeError(f"port {wanted} is taken", hint="Choose another --port.")
