"""What is posted when a backup does not end well, and what becomes of it when nobody takes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.api.notification import post_notification
from chatlake.simulator import Faults, Running, Scenario, running
from tests.command_line import CommandLine
from tests.hook import PATH, hook
from tests.support import KEY, KEY_VARIABLE, NOW, write_config


@pytest.fixture
def source() -> Iterator[Running]:
    """Serve some completions."""
    with running(Scenario(completions=20, seed=5, now=NOW, api_key=KEY)) as server:
        yield server


@pytest.fixture
def chatlake(
    source: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    """Run commands where a configuration lies that notifies `$TEST_HOOK`."""
    config = write_config(tmp_path, source.base_url, pace={"max_attempts": 1})
    config.write_text(config.read_text() + "\nnotify: ${TEST_HOOK}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setattr("chatlake.api.notification._PAUSES_S", (0.0, 0.0))
    return CommandLine(capsys)


def test_an_incomplete_backup_is_posted_once(
    chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One JSON document with the run's figures, and nothing of it in the output."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup", "--json")

    (posted,) = taking.posted
    assert done.code == 3
    assert list(posted) == [
        "command", "run_id", "status", "exit_code", "sources", "failures", "lake", "host",
        "finished_at", "text",
    ]  # fmt: skip
    report = done.json
    for key in ("run_id", "status", "sources", "lake"):
        assert posted[key] == report[key]
    assert (posted["exit_code"], posted["failures"]) == (3, len(report["failures"]))
    assert f"{posted['failures']} of 20 completions could not be fetched" in posted["text"]
    assert "very-secret" not in done.out + done.err
    assert KEY not in json.dumps(posted)


def test_a_failed_backup_is_posted(chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key: status failed, its exit code and reason, and not the key."""
    monkeypatch.setenv(KEY_VARIABLE, "sk-test-another-key")
    with hook(204) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup")

    (posted,) = taking.posted
    assert done.code == posted["exit_code"] == 5
    assert posted["status"] == "failed"
    assert "sk-test-another-key" not in json.dumps(posted)


def test_what_does_not_begin_is_posted_too(
    chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing key ends the run before it starts, and is still reported."""
    monkeypatch.delenv(KEY_VARIABLE)
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup")

    assert done.code == 4
    assert [(each["status"], each["exit_code"]) for each in taking.posted] == [("failed", 4)]
    assert KEY_VARIABLE in taking.posted[0]["text"]


def test_a_complete_backup_and_a_dry_run_are_not_posted(
    chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known gap is not reported again every night."""
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        complete = chatlake("backup")
        source.set_faults(Faults(error_401=1))
        dry = chatlake("backup", "--dry-run")

    assert (complete.code, dry.code) == (0, 5)
    assert taking.posted == []


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("statuses", "tries"), [((500, 503, 200), 3), ((500,), 3), ((404,), 1), ((429, 200), 2)]
)
def test_it_is_tried_three_times_where_that_may_help(
    statuses: tuple[int, ...],
    tries: int,
    *,
    chatlake: CommandLine,
    source: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However that ends, the backup's exit code is its own; a warning says so, not the address."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    with hook(*statuses) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        done = chatlake("backup")

    assert done.code == 3
    assert len(taking.posted) == tries
    assert ("warning: the notification could not be sent" in done.err) == (statuses[-1] != 200)
    assert "very-secret" not in done.out + done.err


def test_nobody_there_is_a_warning(
    chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection changes no exit code and shows no address, also with --debug."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    monkeypatch.setenv("TEST_HOOK", f"http://127.0.0.1:9{PATH}")

    done = chatlake("backup", "--debug")

    assert done.code == 3
    assert "the notification could not be sent: ConnectError" in done.err
    assert "very-secret" not in done.out + done.err


def test_no_redirect_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the document nor the address goes elsewhere, and no log has the address."""
    caplog.set_level(logging.DEBUG)
    with hook(200) as other, hook(307, location=other.url) as taking:
        taken = post_notification(taking.url, {"text": "x"})

    assert not taken
    assert (len(taking.posted), other.posted) == (1, [])
    assert "the notification could not be sent: status 307" in caplog.messages
    assert "very-secret" not in caplog.text


def test_doctor_looks_without_posting(
    chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A valid address is a line; something else is exit code 4; nothing is posted."""
    with hook(200) as taking:
        monkeypatch.setenv("TEST_HOOK", taking.url)
        good = chatlake("doctor")
        monkeypatch.setenv("TEST_HOOK", "very-secret")
        bad = chatlake("doctor")

    assert good.code == 0, good.out
    assert "✓ notify: ${TEST_HOOK} is valid" in good.out
    assert bad.code == 4
    assert "✗ notify: " in bad.out
    assert "very-secret" not in good.out + bad.out
    assert taking.posted == []
