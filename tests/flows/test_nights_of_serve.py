"""Nights of `chatlake serve` with its own server: killed, and started again without a lake."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatlake.config import load_settings
from chatlake.simulator import Scenario, running
from tests.flows.migrated import environment, used_home
from tests.flows.prefect_api import begin, state
from tests.flows.prefect_server import COUNT, processes_with
from tests.support import KEY, KEY_VARIABLE, NOW, rows, wait_for_messages, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE_S = 110
NIGHTLY = "backup/nightly-backup"
ANNOUNCED = re.compile(r"^Prefect: http://127\.0\.0\.1:\d+ ", re.MULTILINE)


@contextlib.contextmanager
def serving(config: Path, home: Path) -> Iterator[str]:
    """Run `chatlake serve` until the block ends, then kill all of it.

    Yields the address of its server's API, with the password.
    """
    log = home.with_name("serve.log")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "chatlake",
                "serve",
                "--config",
                str(config),
                "--port",
                str(port),
            ],
            env={
                **environment(PREFECT_HOME=str(home), PREFECT_RUNNER_POLL_FREQUENCY="1"),
                KEY_VARIABLE: KEY,
            },
            stdout=output,
            stderr=output,
        )
    try:
        end = time.monotonic() + PATIENCE_S
        while not ANNOUNCED.search(log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        password = (home / "chatlake" / f"serve-{port}.password").read_text().strip()
        yield f"http://{password}@127.0.0.1:{port}/api"
    finally:
        for pid in {process.pid, *processes_with(str(home))}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        while processes_with(str(home)):
            time.sleep(0.1)


def until_ended(url: str, run: str) -> tuple[str, str, str]:
    """Wait for a run's end; returns its state."""
    end = time.monotonic() + PATIENCE_S
    while (found := state(url, run))[0] in ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING"):
        assert time.monotonic() < end, found
        time.sleep(1)  # more often would keep the server busy
    return found


@dataclass(frozen=True, slots=True)
class Nights:
    """How the runs of two `chatlake serve`, one after the other, ended, and what is in the lake."""

    refused: tuple[str, str, str]
    killed: tuple[str, str, str]
    after: tuple[str, str, str]
    stored: list[str]
    completions: list[str]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """Serve with a revoked key in a file, change it, kill all of it in the next run; serve again.

    While the second `serve` starts, the lake's disk is not mounted.
    """
    folder = tmp_path_factory.mktemp("nights")
    home, key = used_home(folder / "home"), folder / "key"
    key.write_text("sk-an-old-key-that-is-revoked\n")
    scenario = Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY, latency_ms=100)
    with running(scenario) as server:
        config = write_config(
            folder, server.base_url, api_key=f"file:{key}", pace={"concurrency": 2}
        )
        lake, unmounted = folder / "lake", folder / "unmounted"
        with serving(config, home) as url:
            refused = until_ended(url, begin(url, NIGHTLY))
            key.write_text(KEY + "\n")
            killed = begin(url, NIGHTLY)
            wait_for_messages(server, 40)
        lake.rename(unmounted)

        with serving(config, home) as url:
            closed = state(url, killed)
            unmounted.rename(lake)
            after = until_ended(url, begin(url, NIGHTLY))
        names = server.ids()
    found = rows(load_settings(config), "SELECT completion_id FROM completions")
    return Nights(refused, closed, after, sorted(name for (name,) in found), sorted(names))


def test_a_killed_run_is_closed_without_a_lake_and_the_next_night_runs(nights: Nights) -> None:
    """If the disk is not mounted when `serve` starts again, the run counts as dead."""
    assert nights.killed[:2] == ("CRASHED", "Crashed")
    assert nights.killed[2].startswith("its process was killed (")
    assert nights.after[:2] == ("COMPLETED", "Completed"), nights.after
    assert nights.stored == nights.completions


def test_a_key_in_a_file_is_read_anew_every_night(nights: Nights) -> None:
    """A key that is changed in its file holds for the next night, without a new `serve`.

    The next night, which was killed later, has fetched with it.
    """
    assert nights.refused[0] == "FAILED"
    assert "unauthorized" in nights.refused[2]
    assert "sk-an-old" not in nights.refused[2]
