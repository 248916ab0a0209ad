"""The Prefect servers that start for one run or one Secret block: they answer that process alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chatlake.config import load_settings
from chatlake.simulator import Running
from tests.flows.migrated import environment, home_with_secret
from tests.flows.prefect_server import COUNT, processes_with, tells_status
from tests.flows.script import finish, start
from tests.flows.temporary_server import (
    PATIENCE_S,
    require_guarded,
    server_of,
    servers_until_end,
)
from tests.flows.test_own_database import secret_config
from tests.support import KEY, KEY_VARIABLE, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_server_of_a_script_answers_its_run_alone(server: Running, tmp_path: Path) -> None:
    """The run and its workers on Dask have the password, and find the user's Secret block there.

    Others have not. For workers in processes of their own, `test_scripts` looks at this.
    """
    config = secret_config(tmp_path, server)
    config.write_text(config.read_text() + "\nrunner: {kind: dask, workers: 2}\n")
    home = home_with_secret(tmp_path / "home")
    process = start("backup.py", "--config", str(config), home=home, **{KEY_VARIABLE: ""})

    require_guarded(server_of(home))
    servers = servers_until_end(process, home)
    code, _, err = finish(process)

    assert code == 0, err
    assert len(servers) == 1
    assert "Traceback" not in err
    assert not tells_status(err, 401)
    assert KEY not in err
    assert rows(load_settings(config), "SELECT count(*) FROM completions") == [(COUNT,)]
    assert not (home / "chatlake").exists()  # its server has the database where the block is
    assert processes_with(str(home)) == []


def test_the_server_that_reads_a_secret_answers_its_command_alone(
    server: Running, tmp_path: Path
) -> None:
    """It opens the user's own database: without a password it would hand out every block."""
    home = home_with_secret(tmp_path / "home")
    config = secret_config(tmp_path, server)
    variables = environment(PREFECT_HOME=str(home))
    command = [sys.executable, "-m", "chatlake", "backup", "--config", str(config)]
    process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)

    require_guarded(server_of(home))
    _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, err
    assert rows(load_settings(config), "SELECT count(*) FROM completions") == [(COUNT,)]
    assert processes_with(str(home)) == []
