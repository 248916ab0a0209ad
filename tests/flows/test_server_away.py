"""A Prefect server that goes away under a run and comes back: nothing is lost by it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chatlake.config import load_settings
from chatlake.simulator import Scenario, running
from tests.flows.migrated import used_home
from tests.flows.prefect_server import COUNT, processes_with
from tests.flows.test_scripts import finish, start
from tests.support import KEY, NOW, rows, wait_for_messages, write_config

pytestmark = pytest.mark.slow

START_S = 100


@contextmanager
def prefect(home: Path, port: int) -> Iterator[str]:
    """Run a Prefect server of its own until the block ends; then it is killed, as by a crash."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, *words],
        env={**inherited, **quiet, "PREFECT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}/api"
    try:
        until = time.monotonic() + START_S
        while not _answers(url):
            assert time.monotonic() < until, "the Prefect server did not start"
            time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_run_goes_on_without_its_server(tmp_path: Path) -> None:
    """It is killed in the middle and started again: the run completes, and all is stored once."""
    home = used_home(tmp_path / "server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    scenario = Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY, latency_ms=100)
    with running(scenario) as server:
        config = write_config(tmp_path, server.base_url, pace={"concurrency": 1})
        with prefect(home, port) as url:
            process = start(
                "backup.py", "--config", str(config), home=tmp_path / "home", PREFECT_API_URL=url
            )
            wait_for_messages(server, 20)
        asked = server.stats()["requests"]["messages"]
        wait_for_messages(server, asked + 10)  # nobody is there, and it fetches on
        with prefect(home, port):
            code, _, err = finish(process)
        names = server.ids()

    assert code == 0, err
    found = rows(load_settings(config), "SELECT completion_id FROM completions")
    assert sorted(key for (key,) in found) == sorted(names)
    assert rows(load_settings(config), "SELECT status FROM runs") == [("complete",)]
    assert processes_with(str(tmp_path)) == []
