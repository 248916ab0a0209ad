"""A Prefect server that runs as long as `chatlake serve`, if the user has none.

It has a password, so only this user can use it. It also has a random name, which only this server
knows. So chatlake does not mistake another program on the port for it, such as another
`chatlake serve` that started at the same moment.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

from chatlake.bootstrap.prefect_database import (
    OWN_FOLDER,
    UNKNOWN_REVISION,
    later_database,
    require_known_database,
)
from chatlake.bootstrap.prefect_password import chosen_password, new_password, password_kept
from chatlake.errors import ChatlakeError
from chatlake.flows.serve.server_log import ServerLog

DEFAULT_PORT = 4200
_START_SECONDS = 180.0
_STOP_SECONDS = 15.0
_PORT_TAKEN = "already in use"  # both Prefect and uvicorn say so


class PortTakenError(ChatlakeError):
    """Another program listens on the port."""


class OwnServer:
    """A server on loopback, and whether it still lives.

    `database`: the address of its database; None: the one of your Prefect home. `password`: what
    its clients and its pages need; it is in `password_file` too while the server runs, unless you
    have set it yourself.
    """

    def __init__(self, port: int, database: str | None) -> None:
        self.url = f"http://127.0.0.1:{port}/api"
        chosen, home = chosen_password(), Path(PREFECT_HOME.value())
        self.password = chosen or new_password()
        self.password_file = None if chosen else home / OWN_FOLDER / f"serve-{port}.password"
        self._port = port
        self._name = f"chatlake-{secrets.token_hex(16)}"
        variables = {
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_API_AUTH_STRING": self.password,
            # By default, pages of any server may send requests. Its own pages are open under both
            # names.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": (
                f"http://127.0.0.1:{port},http://localhost:{port}"
            ),
            "PREFECT_SERVER_DOCKET_NAME": self._name,
            "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
            "PREFECT_UI_API_URL": self.url,
        }
        if database is not None:
            variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        # Not in the runs' output: SQLite is busy now and then, which the server logs as tracebacks.
        self.log = ServerLog(home / "chatlake-serve.log")
        with self.log.opened(f"the Prefect server of chatlake serve starts on port {port}") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start"],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def started(self) -> None:
        """Wait until it answers: half a minute in a fresh home.

        Raises PortTakenError if another program responds on its port, ChatlakeError if the server
        ends or does not respond.
        """
        token = base64.b64encode(self.password.encode()).decode()
        try:
            async with (
                asyncio.timeout(_START_SECONDS),
                httpx.AsyncClient(
                    headers={"Authorization": f"Basic {token}"}, trust_env=False
                ) as client,
            ):
                while not await self._answers(client):  # noqa: ASYNC110 - nothing tells it
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise ChatlakeError(
                f"the Prefect server does not answer after {_START_SECONDS:.0f} s",
                hint="Start one with `prefect server start` and set PREFECT_API_URL.",
            ) from None

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        """Say whether it responds yet. `/health` would not do, because it needs no password."""
        if self._process.poll() is not None:
            raise self._why_it_ended(self.log.said())
        try:
            answer = await client.get(f"{self.url}/admin/settings")
        except httpx.RequestError:
            return False
        if answer.is_server_error:  # its database is busy
            return False
        if self._name != _docket_name(answer):
            raise PortTakenError(
                f"another program answers on port {self._port}", hint="Choose another --port."
            )
        return True

    def _why_it_ended(self, said: str) -> ChatlakeError:
        if UNKNOWN_REVISION in said:
            return later_database("the Prefect server's database")
        kind = PortTakenError if _PORT_TAKEN in " ".join(said.split()) else ChatlakeError
        return kind(
            f"the Prefect server ended as it started (code {self._process.returncode})",
            hint=f"Its messages are in {self.log.path}.",
        )

    async def ended(self) -> None:
        """Keep the log from growing until the server ends by itself; then raise ChatlakeError."""
        while self._process.poll() is None:
            self.log.rotate()
            await asyncio.sleep(1.0)
        raise ChatlakeError(
            f"the Prefect server has ended (code {self._process.returncode})",
            hint=f"Its messages are in {self.log.path}. Start `chatlake serve` again.",
        )

    @contextlib.contextmanager
    def reached(self) -> Iterator[None]:
        """Let this process and its runs reach the server; write its password into the file."""
        with contextlib.ExitStack() as stack:
            if self.password_file is not None:
                stack.enter_context(password_kept(self.password_file, self.password))
            updates = {PREFECT_API_URL: self.url, PREFECT_API_AUTH_STRING: self.password}
            stack.enter_context(temporary_settings(updates))
            yield

    def stop(self) -> None:
        """End the server; by force if it still runs after 15 seconds."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.asynccontextmanager
async def own_server(wanted: int | None, database: str | None) -> AsyncIterator[OwnServer]:
    """Run a server on loopback; inside the block, this process's Prefect settings name it.

    `wanted`: its port; None: any. `database`: see OwnServer. ChatlakeError if it does not start.
    """
    require_known_database(database)
    port = free_port(wanted)
    while True:
        server = OwnServer(port, database)
        try:
            try:
                await server.started()
            except PortTakenError:
                # Another program has taken the port since we looked.
                if wanted is not None:
                    raise
                port = free_port(0)
                continue
            with server.reached():
                yield server
            return
        finally:
            await asyncio.to_thread(server.stop)


def free_port(wanted: int | None) -> int:
    """Return `wanted`; if it is None, Prefect's usual port or, if that is taken, any free one.

    ChatlakeError if `wanted` is taken, or if there is no free one.
    """
    for port in (DEFAULT_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    if wanted:
        raise ChatlakeError(f"port {wanted} is taken", hint="Choose another --port.")
    raise ChatlakeError(
        "cannot listen on any port of 127.0.0.1",
        hint="Allow chatlake to listen on loopback, and end programs that hold many ports.",
    )


def _docket_name(answer: httpx.Response) -> Any:
    """Return the name of a server's queue of tasks, unique to this server; None if it has none."""
    try:
        return answer.json()["server"]["docket"]["name"]
    except (ValueError, LookupError, TypeError):
        return None
