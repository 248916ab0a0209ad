"""The flows as scripts, as a person or cron starts them: exit codes, messages, nothing left."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from chatlake import failpoints
from chatlake.config import Settings, load_settings
from chatlake.flows.defaults import DEFAULTS, set_defaults
from chatlake.signals import SAME_WISH_S
from chatlake.simulator import Faults, Scenario, running
from tests.flows.migrated import later, migrated, used_home
from tests.flows.prefect_server import COUNT, processes_with, tells_status
from tests.flows.script import finish, start
from tests.flows.temporary_server import require_guarded, server_of, servers_until_end
from tests.support import KEY, KEY_VARIABLE, NOW, rows, write_config

pytestmark = pytest.mark.slow

DEAD = {
    name: "http://127.0.0.1:9"  # the port "discard": nobody listens there
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
}


@dataclass(frozen=True, slots=True)
class FirstRun:
    """How the first script of a Prefect home ended, and what is there afterwards."""

    settings: Settings
    home: Path
    code: int
    out: str
    err: str
    servers: int
    users_database: bytes


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """Back up a source with gaps in worker processes, where little is as it should be.

    A worker is killed under its third batch. No Prefect server runs, a proxy that reaches nothing is
    configured, and a later Prefect has changed the user's own database. While the script runs, its server refuses others.
    """
    folder = tmp_path_factory.mktemp("first-run")
    home = folder / "home"
    database = later(home / "prefect.db")
    before = database.read_bytes()
    migrated(home / "chatlake" / "prefect.db")
    scenario = Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY)
    with running(scenario) as server, mock.patch.dict(os.environ, {KEY_VARIABLE: KEY}):
        for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
            del os.environ[name]
        server.set_faults(Faults(missing=0.03))
        config = write_config(folder, server.base_url)
        config.write_text(
            config.read_text() + "\nrunner: {kind: processes, workers: 2, batch_size: 25}\n"
        )
        dies = {failpoints.VARIABLE: "batch.started:kill:3"}
        process = start("backup.py", "--config", str(config), home=home, **DEAD, **dies)
        require_guarded(server_of(home))
        servers = servers_until_end(process, home)
        code, out, err = finish(process)
        settings = load_settings(config)
    return FirstRun(settings, home, code, out, err, len(servers), before)


def test_a_script_needs_no_server(first_run: FirstRun) -> None:
    """Without any Prefect server, and behind a dead proxy, the script backs up; a gap is a 3.

    The run and its workers, also those that take the places of killed ones, have the password of
    the server that the script started.
    """
    assert first_run.code == 3, first_run.err
    ((failed,),) = rows(first_run.settings, "SELECT count(*) FROM failures")
    assert f"Error: {failed} of {COUNT} completions could not be fetched\n" in first_run.err
    assert first_run.out == ""
    assert "Traceback" not in first_run.err
    assert not tells_status(first_run.err, 401)
    assert KEY not in first_run.err
    assert rows(first_run.settings, "SELECT count(*) FROM completions") == [(COUNT,)]


def test_a_script_has_one_server_and_leaves_none(first_run: FirstRun) -> None:
    """Its worker processes ask the server that it started for itself, which ends with it."""
    assert first_run.servers == 1
    assert processes_with(str(first_run.home)) == []


def test_a_script_does_not_open_the_users_database(first_run: FirstRun) -> None:
    """A later Prefect has migrated it: the run is in chatlake's own, and the user's is as it was."""
    assert (first_run.home / "prefect.db").read_bytes() == first_run.users_database
    with contextlib.closing(sqlite3.connect(first_run.home / "chatlake" / "prefect.db")) as own:
        assert own.execute("SELECT count(*) FROM flow_run").fetchone() == (1,)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_that_is_stopped_leaves_nothing(
    number: signal.Signals, config: Path, tmp_path: Path
) -> None:
    """A signal while Prefect is starting ends the script at once, and its server too."""
    home = used_home(tmp_path / "home")
    process = start("backup.py", "--config", str(config), home=home)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Starting Prefect")
    for line in process.stderr:
        if "Starting temporary server" in line:
            break
    time.sleep(0.5)  # the server's process is there
    process.send_signal(number)

    code, _, err = finish(process)

    assert code == 128 + number
    assert "Traceback" not in err
    assert processes_with(str(home)) == []


def test_a_signal_seconds_later_ends_it_at_once() -> None:
    """One that repeats the first changes nothing; a later one ends the run and all it started."""
    program = """if True:
        import signal, time
        from chatlake.flows.session import in_own_session

        def work():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print("up", flush=True)
            time.sleep(60)

        raise SystemExit(in_own_session(work))
    """
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"

    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    alive = process.poll() is None
    time.sleep(SAME_WISH_S)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)  # the pipe ends with the last process that has it

    assert alive
    assert process.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_twice_ends_a_flow_in_order(number: signal.Signals) -> None:
    """A signal from a service manager to every process, passed on by the parent, counts once."""
    program = """if True:
        import sys, time
        from chatlake.errors import RunInterruptedError
        from chatlake.signals import raising_stops

        try:
            with raising_stops():
                try:
                    print("up", flush=True)
                    time.sleep(60)
                finally:
                    print("ending", flush=True)
                    time.sleep(float(sys.argv[1]))
                    print("in order", flush=True)
        except RunInterruptedError as error:
            raise SystemExit(error.exit_code)
    """

    def run(ending_s: float, again_after_s: float) -> tuple[int, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(ending_s)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.stdout.readline() == "ending\n"
        time.sleep(again_after_s)
        process.send_signal(number)
        return process.wait(30), process.communicate(timeout=10)[0]

    assert run(1, 0.1) == (128 + number, "in order\n")
    assert run(30, SAME_WISH_S + 0.5) == (-number, "")


@pytest.mark.parametrize(
    ("script", "arguments", "code", "expected"),
    [
        ("backup.py", ("--config", "nowhere.yaml"), 4, "nowhere.yaml"),
        ("backup.py", ("--config", "{config}", "--source", "opnai"), 2, "'opnai'"),
        ("backup.py", ("--full", "--nonsense"), 2, "--nonsense"),
        ("export_completions.py", ("--config", "{config}"), 2, "--ids-file"),
        ("maintain.py", ("--config", "nowhere.yaml"), 4, "nowhere.yaml"),
        (
            "export_completions.py",
            ("--config", "{config}", "--ids-file", "nowhere.txt"),
            2,
            "nowhere.txt",
        ),
    ],
)
def test_what_is_wrong_is_told_before_prefect_is_imported(
    script: str, arguments: tuple[str, ...], code: int, expected: str, *, config: Path
) -> None:
    """Wrong arguments and configurations are reported at once, not after half a minute."""
    given = [argument.format(config=config) for argument in arguments]

    # Whoever imports Prefect with this setting dies of it.
    broken = {"PREFECT_LOGGING_TO_API_BATCH_SIZE": "none"}
    ended, out, err = finish(start(script, *given, home=config.parent, **broken))

    assert ended == code, err
    assert expected in err
    assert out == ""
    assert "Starting Prefect" not in err
    assert "Traceback" not in err


def test_a_missing_key_is_told_at_once(config: Path, tmp_path: Path) -> None:
    """A key that is not in the environment is a configuration error, exit code 4."""
    code, _, err = finish(
        start("backup.py", "--config", str(config), home=tmp_path, **{KEY_VARIABLE: ""})
    )

    assert code == 4
    assert KEY_VARIABLE in err
    assert "Starting Prefect" not in err


def test_defaults_leave_what_the_user_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an environment variable nor the active Prefect profile is overruled."""
    for name in DEFAULTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    (tmp_path / "profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\n'
        'PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS = "30"\n'
        'PREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "false"\n'
    )

    set_defaults()

    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"
    assert "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS" not in os.environ
    assert "PREFECT_SERVER_EPHEMERAL_ENABLED" not in os.environ
    assert os.environ["PREFECT_LOGGING_EXTRA_LOGGERS"] == "chatlake"


def test_a_broken_profile_is_prefects_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profiles file that cannot be read does not stop chatlake."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_LOGGING_EXTRA_LOGGERS", raising=False)
    (tmp_path / "profiles.toml").write_text("active = [")

    set_defaults()

    assert os.environ["PREFECT_LOGGING_EXTRA_LOGGERS"] == "chatlake"
