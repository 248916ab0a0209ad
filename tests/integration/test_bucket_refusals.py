"""A bucket that cannot be used: one line that says why, one that says what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatlake.simulator import Running, Scenario, running
from tests.azure_server import AzureServer
from tests.command_line import CommandLine
from tests.loopback_server import Handler, listening
from tests.support import NOW, in_bucket, write_config


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Serve a completion."""
    with running(Scenario(completions=1, seed=8, now=NOW)) as server:
        yield server


def is_refused(chatlake: CommandLine, server: Running, lake: str, told: str) -> None:
    """Assert that `backup` and `doctor` report it, each with a remedy."""
    in_bucket(write_config(Path.cwd(), server.base_url), lake)
    refused = chatlake("backup")
    wrong = [check for check in chatlake("doctor", "--json").json if not check["ok"]]

    assert refused.code == 1
    assert told in refused.err
    assert len(refused.err.strip().splitlines()) == 2
    assert len(wrong) == 1
    assert told in wrong[0]["detail"]
    assert wrong[0]["remedy"]


@pytest.mark.parametrize("cloud", ["s3", "gs", "az"])
def test_there_is_no_bucket(
    chatlake: CommandLine, server: Running, request: pytest.FixtureRequest, cloud: str
) -> None:
    """A missing bucket is named, also by a command that only reads."""
    request.getfixturevalue(f"{cloud}_lake")
    is_refused(chatlake, server, f"{cloud}://no-such-bucket/lake", "there is no bucket no-such")
    read = chatlake("status")
    assert (read.code, len(read.err.strip().splitlines())) == (1, 2)
    assert "there is no bucket no-such-bucket" in read.err


def test_s3_without_a_key(
    chatlake: CommandLine, server: Running, s3_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a secret key, in the environment or a file, there is a line and a remedy."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(Path.cwd() / "none"))
    is_refused(chatlake, server, s3_lake, "no valid credentials")


def test_google_without_credentials(
    chatlake: CommandLine, server: Running, gs_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credentials file that does not exist gives a line and a remedy."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(Path.cwd() / "none"))
    is_refused(chatlake, server, gs_lake, "no valid credentials (File")


@pytest.mark.parametrize(
    ("status", "told"), [(401, "no valid credentials (Nobody"), (403, "a permission is missing (")]
)
def test_google_refuses(
    chatlake: CommandLine, server: Running, gs_lake: str, monkeypatch: pytest.MonkeyPatch,
    *, status: int, told: str,
) -> None:  # fmt: skip
    """Google's refusal of a stranger, or of a user without the right, has a line and a remedy."""
    with google_that_answers(status, "Nobody has this right") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        is_refused(chatlake, server, gs_lake, told)


def test_azure_without_an_account(
    chatlake: CommandLine, server: Running, az_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the environment names no account, there is a line and a remedy."""
    for name in [name for name in os.environ if name.startswith("AZURE_STORAGE")]:
        monkeypatch.delenv(name)
    is_refused(chatlake, server, az_lake, "no valid credentials")


def test_azure_with_a_wrong_key(
    chatlake: CommandLine, server: Running, az_lake: str, azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The key of another account gives a line and a remedy."""
    for name, value in azure_server.environment_with("d3Jvbmc=").items():
        monkeypatch.setenv(name, value)
    is_refused(chatlake, server, az_lake, "no valid credentials (Server failed to authenticate")


def test_azure_that_may_only_be_read(
    chatlake: CommandLine, server: Running, az_lake: str, azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A lake is read and asked there; a backup is refused."""
    in_bucket(write_config(Path.cwd(), server.base_url), az_lake)
    written = chatlake("backup")
    container = az_lake.split("/")[2]
    for name, value in azure_server.environment_to_read(container).items():
        monkeypatch.setenv(name, value)
    read = [chatlake("status"), chatlake("sql", "SELECT * FROM completions"), chatlake("verify")]
    assert [done.code for done in (written, *read)] == [0, 0, 0, 0]
    is_refused(chatlake, server, az_lake, "a permission is missing (")


@contextmanager
def google_that_answers(status: int, message: str) -> Iterator[str]:
    """Serve this refusal, whatever is asked."""
    body = json.dumps({"error": {"code": status, "message": message}}).encode()

    class Refusing(Handler):
        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.respond(status, body)

        do_POST = Handler.do_GET  # noqa: N815

    with listening(Refusing) as port:
        yield f"http://127.0.0.1:{port}"
