"""`--quiet` for cron, and `--log-format json` for whatever collects logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake.simulator import Faults, Running, Scenario, running
from tests.command_line import CommandLine
from tests.hook import hook
from tests.support import KEY, KEY_VARIABLE, NOW, write_config


@pytest.fixture
def source() -> Iterator[Running]:
    """Serve some completions."""
    with running(Scenario(completions=12, seed=5, now=NOW, api_key=KEY)) as server:
        yield server


@pytest.fixture
def chatlake(chatlake: CommandLine, source: Running, tmp_path: Path) -> CommandLine:
    """Run commands in a folder with a configuration."""
    write_config(tmp_path, source.base_url, pace={"max_attempts": 1})
    return chatlake


def test_quiet_commands_that_succeed_say_nothing(chatlake: CommandLine) -> None:
    """Cron mails whatever is written: a good night writes nothing, on either stream."""
    for words in (
        ("backup",), ("backup", "--full"), ("compact",), ("verify",), ("vacuum",),
        ("vacuum", "--older-than", "0s"), ("status", "--max-age", "1h"), ("doctor",),
        ("copy", "elsewhere"), ("report", "--output", "report.html"), ("forget", "--metadata", "no=such", "--yes"),
        *(("export", kind, "--output", f"out-{kind}") for kind in (
            "raw", "finetune", "hf", "eval", "markdown", "html", "images", "parquet")),
    ):  # fmt: skip
        done = chatlake(*words, "--quiet")
        assert (done.code, done.out, done.err) == (0, "", ""), words
    assert chatlake("vacuum").out


def test_a_quiet_command_that_fails_says_everything(
    chatlake: CommandLine, source: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures, named failures, errors: what the command says without the option."""
    source.set_faults(Faults(error_500=3, routes="messages"))
    done = chatlake("backup", "--quiet")
    assert done.code == 3
    assert "Backup incomplete" in done.out
    assert "could not be fetched:" in done.err
    done = chatlake("export", "finetune", "--output", "tune", "--strict", "--quiet")
    assert done.code == 3
    assert "skipped:" in done.err
    monkeypatch.delenv(KEY_VARIABLE)
    done = chatlake("backup", "--quiet")
    assert (done.code, done.out) == (4, "")
    assert "error: " in done.err


def test_a_quiet_command_shows_warnings_and_what_json_asks_for(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """A notification that was not taken must not be silent; `--json` is an answer, not noise."""
    config = tmp_path / "chatlake.yaml"
    with hook(404) as gone:
        config.write_text(config.read_text() + f"\nnotify: {{url: '{gone.url}', on: [complete]}}\n")
        done = chatlake("backup", "--quiet", "--json")
    assert (done.code, done.json["status"]) == (0, "complete")
    (line,) = done.err.splitlines()
    assert line.startswith("warning: the notification could not be sent: status 404")


def lines(text: str) -> list[dict[str, Any]]:
    """Read one JSON object a line."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("before", [True, False])
def test_json_log_lines_are_one_object_each(
    chatlake: CommandLine, source: Running, tmp_path: Path, *, before: bool
) -> None:
    """Info, warnings and errors, with a time; the option may come anywhere, as --debug may."""
    option = ("--log-format", "json")

    def run(*words: str) -> tuple[int, str, list[dict[str, Any]]]:
        done = chatlake(*option, *words) if before else chatlake(*words, *option)
        return done.code, done.out, lines(done.err)

    code, out, told = run("backup")
    assert (code, "Backup complete" in out) == (0, True)
    assert [line["level"] for line in told] == ["info"]
    assert told[0]["message"].startswith("created a new lake at ")
    assert told[0]["logger"] == "chatlake.bootstrap.backup"
    source.set_faults(Faults(error_401=1))
    code, _, told = run("backup", "--json")
    assert code == 5
    (error,) = [line for line in told if line["level"] == "error"]
    assert error["hint"]
    assert set(error) <= {"time", "level", "message", "hint", "kind"}
    code, _, told = run("sql", "SELEKT 1")
    assert [(line["level"], line["kind"]) for line in told] == [("error", "usage")]
    code, _, told = run("sql", "SELECT 1")
    assert [line["message"] for line in told] == ["(1 row)"]


def test_json_log_lines_have_no_secret_and_no_second_line(
    chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --debug a traceback is one line too, and the key is struck out of everything."""
    chatlake("backup")

    def broken(*_: object, **__: object) -> None:
        logging.getLogger("chatlake.test").error("two\nlines of %s", KEY, exc_info=True)
        raise RuntimeError(f"the server repeated {KEY}")

    monkeypatch.setattr("chatlake.cli.status_facts.gather", broken)
    done = chatlake("status", "--debug", "--log-format=json")
    told = lines(done.err)
    assert done.code == 1
    assert KEY not in done.err
    assert "two\nlines of [key]" in [line["message"] for line in told]
    assert "Traceback" in told[-1]["message"]


def test_a_wrong_log_format_is_wrong_usage(chatlake: CommandLine) -> None:
    """The choices are named, wherever the option stands."""
    for words in (("--log-format", "xml", "status"), ("status", "--log-format=xml")):
        done = chatlake(*words)
        assert done.code == 2
        assert "'text', 'json'" in done.err
    assert chatlake("status", "--log-format").code == 2
