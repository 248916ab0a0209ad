"""Without Prefect, or without a Prefect server where one is needed: a line at once, no traceback."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatlake.bootstrap.prefect_settings import active_profile, has_server
from chatlake.simulator import Running, Scenario, running
from tests.command_line import CommandLine, Ended, ended, start
from tests.support import KEY, KEY_VARIABLE, NOW, write_config

REPOSITORY = Path(__file__).parents[2]
NEEDS_PREFECT = "the flows and Secret blocks need Prefect, which is not installed here"
NEEDS_SERVER = "need a permanent Prefect server"


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve a few completions."""
    with running(Scenario(completions=5, seed=5, now=NOW, api_key=KEY)) as server:
        yield server


@pytest.fixture
def without_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Name no Prefect server, neither in the environment nor in the home."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))


@contextlib.contextmanager
def without_prefect(folder: Path) -> Iterator[dict[str, str]]:
    """Yield an environment whose Python does not find Prefect."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['prefect'] = None\n")
    yield {"PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY / "src")])}


def with_cluster(config: Path, address: str) -> Path:
    """Let a configuration's batches run on a Dask cluster at an address."""
    text = f'\nrunner: {{kind: dask, address: "{address}"}}\n'
    config.write_text(config.read_text() + text)
    return config


def script(name: str, config: Path, **variables: str) -> Ended:
    """Run a flow's script to its end."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "flows" / name), "--config", str(config)],
        env={**os.environ, KEY_VARIABLE: KEY, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_without_prefect_what_needs_it_says_so(server: Running, tmp_path: Path) -> None:
    """`serve`, a script and a Secret block end with a line; `backup` needs no Prefect."""
    config = write_config(tmp_path, server.base_url)
    secret = write_config(tmp_path / "secret", server.base_url, api_key="secret:name")

    with without_prefect(tmp_path / "site") as variables:
        refused = [
            ended(start(tmp_path, "serve", "--config", str(config), env=variables, whole=True)),
            ended(start(tmp_path, "backup", "--config", str(secret), env=variables, whole=True)),
            script("backup.py", config, **variables),
            script("maintain.py", config, **variables),
        ]
        done = ended(start(tmp_path, "backup", "--config", str(config), env=variables, whole=True))

    for each in refused:
        assert each.code == 1, each.err
        assert NEEDS_PREFECT in each.err
        assert "pip install prefect" in each.err
        assert "Traceback" not in each.err
        assert "Starting Prefect" not in each.err
        assert len(each.err.splitlines()) == 2
    assert done.code == 0, done.err


@pytest.mark.usefixtures("without_server")
def test_a_cluster_without_a_prefect_server_is_named_at_once(
    server: Running, tmp_path: Path
) -> None:
    """By `serve` and a script, before Prefect is started."""
    config = with_cluster(write_config(tmp_path, server.base_url), "tcp://127.0.0.1:9")

    refused = [
        ended(start(tmp_path, "serve", "--config", str(config), whole=True)),
        script("backup.py", config),
    ]

    for each in refused:
        assert each.code == 4, each.err
        assert f"the workers at runner.address tcp://127.0.0.1:9 {NEEDS_SERVER}" in each.err
        assert "PREFECT_API_URL" in each.err
        assert "Starting Prefect" not in each.err


@pytest.mark.usefixtures("without_server")
def test_doctor_says_that_a_cluster_lacks_a_prefect_server(
    chatlake: CommandLine, server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that answers is not enough for the flows; with a server named it is."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        with_cluster(write_config(tmp_path, server.base_url), address)
        lacking = chatlake("doctor")
        monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
        sound = chatlake("doctor")

    assert lacking.code == 4
    assert f"✗ runner: the workers at runner.address {address} {NEEDS_SERVER}" in lacking.out
    assert "Set PREFECT_API_URL" in lacking.out
    assert sound.code == 0, sound.out
    assert f"runner: dask, {address} answers" in sound.out


PREFECT_SAYS = """
import os, sys
from prefect.settings import Settings

for folder in map(str.rstrip, sys.stdin):
    os.chdir(folder)
    os.environ["PREFECT_HOME"] = folder + "/home"
    print(bool(Settings().api.url), flush=True)
"""


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """Have Prefect say in any folder, with `home` in it, whether a server is named.

    One process does so for all: it reads the settings anew each time, and imports Prefect once.
    """
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    with subprocess.Popen(
        [sys.executable, "-c", PREFECT_SAYS],
        env={**variables, "PREFECT_HOME": str(tmp_path_factory.mktemp("home"))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, said = process.stdin, process.stdout

        def ask(folder: Path) -> str:
            print(folder, file=asked, flush=True)
            return said.readline().strip()

        yield ask
        asked.close()
        assert process.wait(30) == 0


PROFILES = """\
active = "work"
[profiles.work]
PREFECT_API_URL = "http://127.0.0.1:4200/api"
[profiles.empty]
"""


@pytest.mark.slow
@pytest.mark.usefixtures("without_server")
@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("home/profiles.toml", PROFILES, True),
        ("home/profiles.toml", PROFILES.replace('"work"', '"empty"'), False),
        ("home/profiles.toml", "active = [", False),
        ("prefect.toml", '[api]\nurl = "http://127.0.0.1:4200/api"\n', True),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://127.0.0.1:4200/api"\n', True),
        ("pyproject.toml", '[tool.other]\nprefect = "x"\n', False),
        (".env", "export PREFECT_API_URL=http://127.0.0.1:4200/api\n", True),
        (".env", "# PREFECT_API_URL=\n", False),
    ],
)
def test_a_prefect_server_is_found_where_prefect_finds_it(
    file: str,
    text: str,
    *,
    expected: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefect: Callable[[Path], str],
) -> None:
    """In the profile and in the files of the working folder; Prefect itself says the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / file).write_text(text)

    assert has_server() is expected
    if text != "active = [":
        assert prefect(tmp_path) == str(expected)


@pytest.mark.usefixtures("without_server")
def test_a_profile_of_the_environment_goes_before_the_active_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`PREFECT_PROFILE` chooses; one that is not there holds nothing."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/profiles.toml").write_text(PROFILES)
    monkeypatch.setenv("PREFECT_PROFILE", "empty")
    assert active_profile() == {}
    monkeypatch.setenv("PREFECT_PROFILE", "nowhere")
    assert active_profile() == {}
    monkeypatch.delenv("PREFECT_PROFILE")
    assert active_profile() == {"PREFECT_API_URL": "http://127.0.0.1:4200/api"}
