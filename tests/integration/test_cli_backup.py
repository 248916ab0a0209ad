"""`chatlake backup` against a server over HTTP: exit codes, report and messages."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.lake.lake import Lake
from chatlake.simulator import Faults, Running, Scenario, running
from tests.command_line import CommandLine, ended, start
from tests.support import KEY, KEY_VARIABLE, NOW, rows, settings_for, write_config

COUNT = 120
DOCUMENT = {
    "commit", "fingerprint", "run_id", "status", "started_at", "seconds", "sources", "failures",
    "new_fields", "files_added", "bytes_added", "lake",
}  # fmt: skip
FIGURES = {
    "name", "listed", "new", "changed", "unchanged", "deleted", "failed", "messages",
    "content_parts", "images", "requests", "retries", "rate_limited",
}  # fmt: skip
QUICK = {"pace": {"concurrency": 8, "max_attempts": 1}}


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve some completions to whoever has the tests' key."""
    with running(Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY)) as server:
        yield server


def test_a_backup_says_what_it_stored_and_where(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """Exit code 0, and a summary for people on standard output alone."""
    write_config(tmp_path, server.base_url)

    done = chatlake("backup")

    assert done.code == 0
    assert f"Backup complete: {COUNT} completions" in done.out
    assert f"Lake: {tmp_path / 'lake'}" in done.out
    assert "created a new lake" in done.out
    assert done.err == ""


def test_the_json_report_is_the_documented_one(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """`--json` gives one document with exactly the documented keys, and figures that add up."""
    write_config(tmp_path, server.base_url)

    first, second = chatlake("backup", "--json"), chatlake("backup", "--json", "--full")

    assert (first.code, second.code) == (0, 0)
    assert set(first.json) == DOCUMENT | {"new_lake"}
    assert set(second.json) == DOCUMENT
    (figures,) = first.json["sources"]
    assert set(figures) == FIGURES
    assert figures["listed"] == figures["new"] == COUNT
    assert first.json["status"] == "complete"
    assert first.json["failures"] == []
    assert first.json["files_added"] > 0
    assert second.json["sources"][0]["unchanged"] == COUNT
    assert second.json["files_added"] == 0


def test_a_dry_run_writes_nothing(server: Running, chatlake: CommandLine, tmp_path: Path) -> None:
    """It counts what a backup would do and leaves no lake."""
    write_config(tmp_path, server.base_url)

    told, document = chatlake("backup", "--dry-run"), chatlake("backup", "--dry-run", "--json")

    assert "nothing was written" in told.out
    assert document.json["dry_run"] is True
    assert document.json["sources"][0]["new"] == COUNT
    assert not (tmp_path / "lake").exists()


def test_failures_are_named_and_the_rest_is_stored(chatlake: CommandLine, tmp_path: Path) -> None:
    """Exit code 3: ten failures by name with their reason, and where to find the others."""
    scenario = Scenario(completions=60, seed=5, now=NOW)
    with running(scenario, Faults(missing=1.0)) as server:
        write_config(tmp_path, server.base_url)
        ids = server.ids()[:12]
        (tmp_path / "ids.txt").write_text("\n".join(ids))
        done = chatlake("backup", "--ids-file", "ids.txt")

    assert done.code == 3
    assert "Backup incomplete" in done.out
    assert done.err.count("not_found: ") == 10
    assert "… and 2 more: chatlake sql 'FROM failures'" in done.err


def test_ids_that_do_not_exist_are_failures_beside_those_that_do(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """Unknown and malformed ids: exit code 3, each named, every other id stored."""
    settings = settings_for(tmp_path, server.base_url)
    good = server.ids()[:3]
    (tmp_path / "ids.txt").write_text("\n".join([*good, "chatcmpl-nope", "../../x", good[0]]))

    done = chatlake("backup", "--ids-file", "ids.txt", "--json")

    assert done.code == 3
    assert done.json["status"] == "incomplete"
    assert {failure["completion_id"]: failure["reason"] for failure in done.json["failures"]} == {
        "chatcmpl-nope": "not_found",
        "../../x": "not_found",
    }
    assert "1 duplicate id" in done.err
    assert {row[0] for row in rows(settings, "SELECT completion_id FROM completions")} == set(good)


def test_ids_come_from_standard_input_too(
    server: Running, chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--ids-file -` reads the list from standard input."""
    write_config(tmp_path, server.base_url)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(server.ids()[:5])))

    done = chatlake("backup", "--ids-file", "-", "--json")

    assert (done.code, done.json["sources"][0]["listed"]) == (0, 5)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "no completion ids in ids.txt"), ("[\n", "ids.txt:1:"), (None, "cannot be read")],
)
def test_a_list_of_ids_that_is_none_is_a_wrong_usage(
    chatlake: CommandLine, tmp_path: Path, text: str | None, told: str
) -> None:
    """An empty, malformed or unreadable list: exit code 2, nothing is asked of the source."""
    write_config(tmp_path, "http://127.0.0.1:1/v1")
    if text is not None:
        (tmp_path / "ids.txt").write_text(text)

    done = chatlake("backup", "--ids-file", "ids.txt")

    assert done.code == 2
    assert told in done.err
    assert len(done.err.splitlines()) <= 2


def test_options_that_exclude_each_other_are_a_wrong_usage(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """`--full` with `--ids-file`, an unknown source, and ids for no certain source: exit code 2."""
    path = write_config(tmp_path, "http://127.0.0.1:1/v1")
    other = path.read_text().partition("sources:")[2].replace("openai", "other")
    path.write_text(path.read_text().rstrip() + other.replace("\nschedule", ""))
    (tmp_path / "ids.txt").write_text("chatcmpl-1")

    both = chatlake("backup", "--full", "--ids-file", "ids.txt")
    unknown = chatlake("backup", "--source", "opneai")
    unclear = chatlake("backup", "--ids-file", "ids.txt")

    assert (both.code, unknown.code, unclear.code) == (2, 2, 2)
    assert "cannot be combined" in both.err
    assert "did you mean 'openai'" in unknown.err
    assert "--source openai, --source other" in unclear.err


@pytest.mark.parametrize(
    ("scenario", "faults", "kind"),
    [
        (Scenario(completions=5, api_key="sk-another"), Faults(), "unauthorized"),
        (Scenario(completions=5, list_status=403), Faults(), "forbidden"),
        (Scenario(completions=5, list_status=405), Faults(), "not_supported"),
        (Scenario(completions=5), Faults(quota=1), "quota"),
    ],
)
def test_what_the_account_cannot_do_ends_with_code_5(
    chatlake: CommandLine, tmp_path: Path, scenario: Scenario, faults: Faults, kind: str
) -> None:
    """401, 403, 405 and quota: reported in two lines with the remedy, and in `--json`."""
    with running(scenario, faults) as server:
        write_config(tmp_path, server.base_url, **QUICK)
        done = chatlake("backup", "--json")

    assert done.code == 5
    assert done.json["status"] == "failed"
    assert done.json["error"]["kind"] == kind
    assert done.json["error"]["hint"]
    assert [line.partition(" ")[0] for line in done.err.splitlines()] == ["error:", "hint:"]
    assert KEY not in done.err + done.out


def test_a_source_that_is_not_there_ends_with_code_6(chatlake: CommandLine, tmp_path: Path) -> None:
    """Nobody listens: exit code 6, the source named."""
    write_config(tmp_path, "http://127.0.0.1:1/v1", **QUICK)

    done = chatlake("backup")

    assert done.code == 6
    assert "error: openai: " in done.err


def test_one_source_that_fails_leaves_the_other_its_backup(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """The reachable source is stored, the exit code is that of the failed one."""
    path = write_config(tmp_path, server.base_url, **QUICK)
    other = path.read_text().partition("sources:")[2].replace("openai", "other")
    path.write_text(
        path.read_text().rstrip() + other.replace(server.base_url, "http://127.0.0.1:1/v1")
    )

    done = chatlake("backup", "--json")

    assert done.code == 6
    assert done.json["status"] == "incomplete"
    assert [source["new"] for source in done.json["sources"]] == [COUNT, 0]
    assert "error: other: " in done.err


def test_an_empty_account_is_explained(chatlake: CommandLine, tmp_path: Path) -> None:
    """Nothing listed, nothing in the lake: complete, with a warning about store=true."""
    with running(Scenario(completions=0)) as server:
        write_config(tmp_path, server.base_url)
        done = chatlake("backup")

    assert done.code == 0
    assert "store=true" in done.err


def test_a_filter_that_matches_nothing_is_explained(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """Nothing listed under a filter: the filter is named."""
    write_config(tmp_path, server.base_url, select={"model": "gpt-unknown"})

    done = chatlake("backup")

    assert done.code == 0
    assert "no completion matches model gpt-unknown" in done.err


def test_a_lake_that_another_run_writes_is_left_alone(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """Exit code 8, and the other run's process is named."""
    settings = settings_for(tmp_path, server.base_url)
    lake = Lake.open(settings.lake_location, create=True)

    with lake.lock("other-run"):
        done = chatlake("backup", "--json")

    assert done.code == 8
    assert done.json["error"]["kind"] == "locked"
    assert f"process {os.getpid()}" in done.err


@pytest.mark.parametrize("damage", [b"{}", b'{"sha256":"0","format":99}'])
def test_a_damaged_or_newer_lake_ends_with_code_7(
    server: Running, chatlake: CommandLine, tmp_path: Path, damage: bytes
) -> None:
    """A manifest that cannot be read, or is of a later format, is never written over."""
    write_config(tmp_path, server.base_url)
    assert chatlake("backup").code == 0
    manifest = tmp_path / "lake/manifests/000000000001.json"
    manifest.write_bytes(damage)

    for words in (("backup",), ("status",), ("sql", "SELECT 1"), ("doctor",)):
        assert chatlake(*words).code == 7
    assert manifest.read_bytes() == damage


@pytest.mark.sample(1)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_commits_what_was_fetched_and_the_next_run_completes(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Exit code 130 or 143; what was stored stays, and one more run equals the source."""
    with running(Scenario(completions=400, seed=6, now=NOW, latency_ms=25)) as server:
        settings = settings_for(tmp_path, server.base_url, pace={"concurrency": 8})
        process = start(tmp_path, "backup", "--json")
        while server.stats()["requests"].get("messages", 0) < 80 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        stopped = ended(process)
        between = {row[0] for row in rows(settings, "SELECT completion_id FROM completions")}
        completed = ended(start(tmp_path, "backup", "--json"))
        ids = server.ids()

    assert stopped.code == code
    assert stopped.json["status"] == "interrupted"
    assert stopped.json["error"]["kind"] in ("interrupted", "terminated")
    assert "stopped:" in stopped.err
    assert "Traceback" not in stopped.err
    assert 0 < len(between) < len(ids)
    assert completed.code == 0
    after = [row[0] for row in rows(settings, "SELECT completion_id FROM completions")]
    assert sorted(after) == sorted(ids)
    assert between < set(after)


def test_the_key_is_printed_and_stored_nowhere(server: Running, tmp_path: Path) -> None:
    """Even with `--debug` the key is in no output and in no file of the lake."""
    write_config(tmp_path, server.base_url)
    good = ended(start(tmp_path, "backup", "--debug", "--json"))
    wrong = ended(start(tmp_path, "--debug", "backup", env={KEY_VARIABLE: f"{KEY}-wrong"}))

    assert (good.code, wrong.code) == (0, 5)
    for output in (good.out, good.err, wrong.out, wrong.err):
        assert KEY not in output
    for file in (tmp_path / "lake").rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes()


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path: Path) -> None:
    """On a terminal standard error shows a bar with rate; standard output stays one document."""
    with running(Scenario(completions=150, seed=6, now=NOW, latency_ms=20)) as server:
        write_config(tmp_path, server.base_url, pace={"concurrency": 8})
        terminal, theirs = pty.openpty()
        env = {"TERM": "xterm", "COLUMNS": "120"}
        process = start(tmp_path, "backup", "--json", stderr=theirs, env=env)
        os.close(theirs)
        shown = _read_all(terminal)
        out = process.communicate(timeout=30)[0]
        plain = ended(start(tmp_path, "backup", "--full", "--no-progress", "--json"))

    assert json.loads(out)["status"] == "complete"
    assert "completions in" in shown
    assert "/s" in shown
    assert "\x1b[?25h" in shown  # the cursor is visible again
    assert plain.err == ""


def _read_all(terminal: int) -> str:
    shown = b""
    try:
        while block := os.read(terminal, 65_536):
            shown += block
    except OSError:  # Linux: how a terminal ends
        pass
    finally:
        os.close(terminal)
    return shown.decode()


def test_a_reader_that_went_away_is_no_error(server: Running, tmp_path: Path) -> None:
    """Output into a closed pipe ends quietly."""
    write_config(tmp_path, server.base_url)
    assert ended(start(tmp_path, "backup")).code == 0
    reading, writing = os.pipe()
    os.close(reading)
    process = start(tmp_path, "sql", "FROM messages", "--format", "csv", stdout=writing)
    os.close(writing)

    done = ended(process)

    assert done.err == ""
    assert done.code == 0


def test_no_temporary_file_is_left_in_the_lake(
    server: Running, chatlake: CommandLine, tmp_path: Path
) -> None:
    """After a backup the lake has no temporary file, and only its owner can read it."""
    write_config(tmp_path, server.base_url)
    chatlake("backup")

    files = list((tmp_path / "lake").rglob("*"))
    assert not [file for file in files if file.name.endswith(".tmp")]
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
