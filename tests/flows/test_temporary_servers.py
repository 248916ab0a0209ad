"""The Prefect servers that start for one run or one Secret block: they answer that process alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from chatlake.config import load_settings
from chatlake.simulator import Running
from tests.flows.migrated import home_with_secret, used_home
from tests.flows.prefect_api import NO_TLS
from tests.flows.prefect_server import COUNT, processes_with
from tests.flows.test_own_database import secret_config
from tests.flows.test_scripts import finish, start
from tests.support import rows

PATIENCE_S = 110
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def server_of(home: Path) -> str:
    """Wait until the server of a Prefect home answers; returns its address."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for pid in processes_with(str(home)):
            with contextlib.suppress(OSError, ValueError, httpx.TransportError):
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                address = f"http://127.0.0.1:{words[words.index('--port') + 1]}"
                if httpx.get(f"{address}/api/health", trust_env=False, verify=NO_TLS).is_success:
                    return address
        time.sleep(0.3)
    raise AssertionError("no server has started")


def require_guarded(address: str) -> None:
    """See that a server answers neither another user of this machine nor a web page."""
    for route in ("block_documents/filter", "flow_runs/filter"):
        answer = httpx.post(f"{address}/api/{route}", json={}, trust_env=False)
        assert answer.status_code == 401, answer.text
    asked = httpx.options(
        f"{address}/api/block_documents/filter",
        headers={"Origin": "https://example.com", "Access-Control-Request-Method": "POST"},
        trust_env=False,
    )
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers


# Threads share the process of the run, which the workers of the others start from.
@pytest.mark.parametrize("runner", ["processes", "dask"])
def test_the_server_of_a_script_answers_its_run_alone(
    runner: str, config: Path, tmp_path: Path
) -> None:
    """The run and its workers have the password: it completes. Others have not."""
    config.write_text(config.read_text() + f"\nrunner: {{kind: {runner}, workers: 2}}\n")
    home = used_home(tmp_path / "home")
    process = start("backup.py", "--config", str(config), home=home)

    require_guarded(server_of(home))
    code, _, err = finish(process)

    assert code == 0, err
    assert "Traceback" not in err
    assert "401" not in err
    assert rows(load_settings(config), "SELECT count(*) FROM completions") == [(COUNT,)]


def test_the_server_that_reads_a_secret_answers_its_command_alone(
    server: Running, tmp_path: Path
) -> None:
    """It opens the user's own database: without a password it would hand out every block."""
    home = home_with_secret(tmp_path / "home")
    config = secret_config(tmp_path, server)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    variables["PREFECT_HOME"] = str(home)
    command = [sys.executable, "-m", "chatlake", "backup", "--config", str(config)]
    process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)

    require_guarded(server_of(home))
    _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, err
    assert rows(load_settings(config), "SELECT count(*) FROM completions") == [(COUNT,)]
    assert processes_with(str(home)) == []
