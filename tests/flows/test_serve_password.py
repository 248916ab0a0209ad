"""The Prefect server of `chatlake serve` on a shared machine: access and its limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
import websockets.sync.client
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_HOME,
    PREFECT_SERVER_API_AUTH_STRING,
    temporary_settings,
)
from websockets.exceptions import WebSocketException

from chatlake.config import load_settings
from chatlake.flows.serve import own_server
from chatlake.simulator import Scenario, running
from tests.flows import prefect_api
from tests.flows.migrated import environment, later, migrated
from tests.flows.prefect_api import NO_TLS
from tests.flows.prefect_server import COUNT, processes_with, tells_status
from tests.loopback_server import Handler, listening
from tests.support import KEY, KEY_VARIABLE, NOW, rows, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE_S = 110
NIGHTLY = "backup/nightly-backup"
PROXIES = {
    "http_proxy": "http://127.0.0.1:9",  # the port "discard": nobody listens there
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "example.com",
}


@dataclass(frozen=True, slots=True)
class Served:
    """A `chatlake serve` that runs: its configuration, server, password and what it has said."""

    config: Path
    home: Path
    port: int
    password: str
    log: Path
    users_database: bytes

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """The API's address with the password."""
        return f"http://{self.password}@127.0.0.1:{self.port}/api"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run `chatlake serve`, with a backup every minute, for all tests of this module.

    A proxy that reaches nothing is configured, with an exception that helps nobody here, and a
    later Prefect has changed the user's own database.
    """
    folder = tmp_path_factory.mktemp("served")
    home, log = folder / "home", folder / "serve.log"
    users_database = later(home / "prefect.db").read_bytes()
    migrated(home / "chatlake" / "prefect.db")
    port = own_server.free_port(0)
    inherited = {
        name: value
        for name, value in environment(PREFECT_HOME=str(home)).items()
        if not name.upper().endswith("_PROXY")
    }
    with (
        running(Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY)) as source,
        log.open("w") as output,
    ):
        config = write_config(folder, source.base_url)
        config.write_text(config.read_text() + '\nschedule: {cron: "* * * * *"}\n')
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "chatlake", "serve"),
                *("--config", str(config), "--port", str(port)),
            ],
            env={
                **inherited,
                **PROXIES,
                KEY_VARIABLE: KEY,
                "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            },
            stdout=output,
            stderr=output,
        )
        kept = home / "chatlake" / f"serve-{port}.password"
        try:
            until(lambda: "Prefect: http" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Served(config, home, port, kept.read_text().strip(), log, users_database)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 143, log.read_text()
            assert not kept.exists()
            assert processes_with(str(home)) == []
        finally:
            for pid in {process.pid, *processes_with(str(home))}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def until(holds: Any) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.5)


def ask(served: Served, method: str, route: str, **words: Any) -> httpx.Response:
    """Ask as another user of the machine does, or a web page."""
    return httpx.request(
        method, f"{served.address}{route}", trust_env=False, timeout=60, verify=NO_TLS, **words
    )


def routes(served: Served) -> list[tuple[str, str]]:
    """Return method and path of every route of the API."""
    found = prefect_api.ask(f"{served.api}/openapi.json", method="GET")["paths"]
    return [(method.upper(), path) for path, methods in found.items() for method in methods]


def test_nobody_asks_it_without_the_password(served: Served) -> None:
    """Every route of its API refuses, except the two that report its health."""
    answers = {
        (method, path): ask(served, method, f"/api{path.replace('{', '').replace('}', '')}")
        for method, path in routes(served)
    }

    open_to_all = {key for key, answer in answers.items() if answer.status_code != 401}
    assert len(answers) > 100
    assert open_to_all <= {("GET", "/health"), ("GET", "/ready")}
    wrong = ask(served, "POST", "/api/flow_runs/filter", json={}, auth=("chatlake", "guessed"))
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("socket", "first"),
    [
        ("events/out", {"type": "auth", "token": "chatlake:guessed"}),
        ("logs/out", {"type": "auth"}),
    ],
)
def test_nobody_listens_without_the_password(
    socket: str, first: dict[str, str], served: Served
) -> None:
    """Its web sockets, which show events and logs as they come, refuse too."""
    address = f"ws://127.0.0.1:{served.port}/api/{socket}"

    def listen(subprotocols: Any) -> None:
        with websockets.sync.client.connect(
            address, subprotocols=subprotocols, proxy=None
        ) as opened:
            opened.send(json.dumps(first))
            opened.recv(timeout=20)

    for subprotocols in (None, ["prefect"]):
        with pytest.raises(WebSocketException):
            listen(subprotocols)


def test_no_web_page_but_its_own_asks_it(served: Served) -> None:
    """A browser's question beforehand is refused to other origins, and granted to its own pages."""
    asked = {
        origin: ask(
            served,
            "OPTIONS",
            "/api/flow_runs/filter",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, content-type",
            },
        )
        for origin in ("https://example.com", "null", "http://127.0.0.1", served.address)
    }

    allowed = {
        origin: answer.headers.get("access-control-allow-origin")
        for origin, answer in asked.items()
        if answer.is_success
    }
    assert allowed == {served.address: served.address}
    simple = ask(served, "GET", "/api/health", headers={"Origin": "https://example.com"})
    assert "access-control-allow-origin" not in simple.headers


def test_a_scheduled_run_completes_with_the_password(served: Served) -> None:
    """The scheduler, the run in its own process and its end all pass, and go past the dead proxy."""
    until(lambda: "Finished in state Completed('openai: 150 new" in served.log.read_text())

    found = rows(load_settings(served.config), "SELECT count(*) FROM completions")
    assert found == [(COUNT,)]
    said = served.log.read_text()
    assert "Traceback" not in said
    assert not tells_status(said, 401)
    assert "Unauthorized" not in said


def test_serve_does_not_open_the_users_database(served: Served) -> None:
    """Its server has its own, in a folder of the Prefect home, which is private."""
    assert (served.home / "prefect.db").read_bytes() == served.users_database
    assert (served.home / "chatlake").stat().st_mode & 0o777 == 0o700


def test_only_the_user_reads_the_password(served: Served) -> None:
    """It is in a file that others cannot read; not in an output that is kept, nor in arguments."""
    kept = served.home / "chatlake" / f"serve-{served.port}.password"
    secret = served.password.partition(":")[2]

    assert len(secret) >= 32
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert f"password in {kept}" in served.log.read_text()
    logs = [served.log, served.home / "chatlake-serve.log"]
    assert not any(secret in log.read_text() for log in logs)
    processes = processes_with(str(served.home))
    arguments = [Path(f"/proc/{pid}/cmdline").read_text() for pid in processes]
    assert len(arguments) >= 2
    assert not any(secret in each for each in arguments)


@pytest.mark.parametrize("job_variables", [{}, {"env": {"CHATLAKE_SERVED_CONFIG": ""}}])
def test_a_run_with_another_configuration_fails_and_reads_nothing(
    job_variables: dict[str, Any], served: Served, tmp_path: Path
) -> None:
    """Not even with the password: the key would go to that configuration's server.

    A configuration that is a pipe would keep its reader waiting; nobody opens it.
    """
    other = tmp_path / "chatlake.yaml"
    os.mkfifo(other)
    deployment = prefect_api.ask(f"{served.api}/deployments/name/{NIGHTLY}", method="GET")["id"]

    run = prefect_api.ask(
        f"{served.api}/deployments/{deployment}/create_flow_run",
        {"parameters": {"config": str(other)}, "job_variables": job_variables},
    )["id"]
    until(lambda: prefect_api.state(served.api, run)[0] in {"FAILED", "CRASHED", "COMPLETED"})

    kind, name, message = prefect_api.state(served.api, run)
    assert (kind, name) == ("FAILED", "Failed")
    assert message.startswith(
        f"configuration: this `chatlake serve` runs only {served.config}, "
        f"but the run asks for {other}. "
    )


@contextlib.contextmanager
def impostor(status: int, document: Any) -> Iterator[int]:
    """Answer every request like that; yields the port."""
    body = json.dumps(document).encode()

    class Impostor(Handler):
        def reply(self) -> None:
            self.respond(status, body)

    with listening(Impostor) as port:
        yield port


async def _started(port: int, folder: Path) -> None:
    server = own_server.OwnServer(port, f"sqlite+aiosqlite:///{folder / 'own.db'}")
    try:
        await server.started()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("status", "document"),
    [
        pytest.param(401, {"exception_message": "Unauthorized"}, id="another serve"),
        pytest.param(200, {"server": {"docket": {"name": "prefect-server"}}}, id="any Prefect"),
        pytest.param(200, "healthy", id="healthy"),
    ],
)
def test_the_server_of_somebody_else_is_not_taken_for_the_own(
    status: int, document: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listened on the port first, and answers at once: the port is taken."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))

    with impostor(status, document) as port, pytest.raises(own_server.PortTakenError) as refused:
        asyncio.run(_started(port, tmp_path))

    assert refused.value.message == f"another program answers on port {port}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a server with the user's password has shown, whose first port was taken meanwhile."""

    taken: int
    url: str
    password_file: Path | None
    answers: tuple[int, int]
    password_files: list[Path]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chosen]:
    """Start a server with the user's password; another program takes the port that was found free.

    Yields what it has shown, while the other program is still there.
    """
    folder = tmp_path_factory.mktemp("chosen")
    database = f"sqlite+aiosqlite:///{migrated(folder / 'own.db')}"

    async def ask() -> tuple[str, Path | None, tuple[int, int]]:
        async with own_server.own_server(None, database) as own:
            async with get_client() as client, httpx.AsyncClient(trust_env=False) as other:
                known = await client.request("GET", "/admin/version")
                unknown = await other.get(f"{own.url}/admin/version")
            return own.url, own.password_file, (known.status_code, unknown.status_code)

    settings = {
        PREFECT_SERVER_API_AUTH_STRING: "a word without a colon",
        PREFECT_HOME: folder,
    }
    with (
        impostor(404, {}) as taken,
        mock.patch.dict(os.environ, environment(PREFECT_HOME=str(folder)), clear=True),
        temporary_settings(settings),
    ):
        ports = [taken, own_server.free_port(0)]
        with mock.patch.object(own_server, "free_port", side_effect=ports):
            url, file, answers = asyncio.run(ask())
        yield Chosen(taken, url, file, answers, list(folder.rglob("*.password")))


def test_a_password_of_the_user_s_is_used_and_not_copied(chosen: Chosen) -> None:
    """Whoever sets `PREFECT_SERVER_API_AUTH_STRING` knows it: it is in no file of chatlake's.

    It may be a word without a colon; the one that chatlake makes up has a colon.
    """
    assert chosen.answers == (200, 401)
    assert chosen.password_file is None
    assert chosen.password_files == []


def test_a_port_that_another_program_takes_meanwhile(
    chosen: Chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two servers that find the same free port at once, the second one takes another.

    Not where the port was asked for.
    """
    assert not chosen.url.startswith(f"http://127.0.0.1:{chosen.taken}/")
    monkeypatch.setattr(own_server, "free_port", lambda wanted: wanted)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))

    async def start() -> None:
        async with own_server.own_server(chosen.taken, f"sqlite+aiosqlite:///{tmp_path}/own.db"):
            pass

    with pytest.raises(own_server.PortTakenError):
        asyncio.run(start())
