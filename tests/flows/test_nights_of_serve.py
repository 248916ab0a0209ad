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
        time.sleep(0.3)
    return found


def test_a_killed_run_is_closed_without_a_lake_and_the_next_night_runs(tmp_path: Path) -> None:
    """If the disk is not mounted when `serve` starts again, the run counts as dead."""
    home = used_home(tmp_path / "home")
    scenario = Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY, latency_ms=100)
    with running(scenario) as server:
        config = write_config(tmp_path, server.base_url, pace={"concurrency": 2})
        lake, unmounted = tmp_path / "lake", tmp_path / "unmounted"
        with serving(config, home) as url:
            killed = begin(url, NIGHTLY)
            wait_for_messages(server, 40)
        lake.rename(unmounted)

        with serving(config, home) as url:
            closed = state(url, killed)
            unmounted.rename(lake)
            after = until_ended(url, begin(url, NIGHTLY))
        names = server.ids()

    assert closed[:2] == ("CRASHED", "Crashed")
    assert closed[2].startswith("its process was killed (")
    assert after[:2] == ("COMPLETED", "Completed"), after
    found = rows(load_settings(config), "SELECT completion_id FROM completions")
    assert sorted(key for (key,) in found) == sorted(names)


def test_a_key_in_a_file_is_read_anew_every_night(tmp_path: Path) -> None:
    """A key that is changed in its file holds for the next night, without a new `serve`."""
    key = tmp_path / "key"
    key.write_text("sk-an-old-key-that-is-revoked\n")
    with running(Scenario(completions=5, seed=5, now=NOW, api_key=KEY)) as server:
        config = write_config(tmp_path, server.base_url, api_key=f"file:{key}")
        with serving(config, used_home(tmp_path / "home")) as url:
            refused = until_ended(url, begin(url, NIGHTLY))
            key.write_text(KEY + "\n")
            after = until_ended(url, begin(url, NIGHTLY))

    assert refused[0] == "FAILED"
    assert "unauthorized" in refused[2]
    assert "sk-an-old" not in refused[2]
    assert after[:2] == ("COMPLETED", "Completed"), after
