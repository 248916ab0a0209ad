"""A manifest that somebody wrote by hand, with a matching SHA-256, is reported as damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatlake.lake.sealed import seal
from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine
from tests.support import KEY, KEY_VARIABLE, NOW, backup, settings_for

Change = Callable[[dict[str, Any], Any], None]


def of_files(name: str) -> Change:
    """Change a value of every file."""
    return lambda document, value: [file.update({name: value}) for file in document["added"]]  # type: ignore[return-value]


def of_runs(name: str) -> Change:
    """Change a value of every run."""
    return lambda document, value: [run.update({name: value}) for run in document["runs"]]  # type: ignore[return-value]


def of_a_failure(name: str) -> Change:
    """Add a failure with this value."""
    failure = {"source": "openai", "completion_id": "x", "reason": "r", "detail": "d"}
    return lambda document, value: document["failures"].append({**failure, name: value})


CHANGES: dict[str, Change] = {
    "created_at": lambda document, value: document.update(created_at=value),
    "started_at": of_runs("started_at"),
    "finished_at": of_runs("finished_at"),
    "min_created_at": of_files("min_created_at"),
    "max_created_at": of_files("max_created_at"),
    "first_attempt_at": of_a_failure("first_attempt_at"),
    "last_attempt_at": of_a_failure("last_attempt_at"),
}
NO_TIMES = [
    "yesterday",
    "2026-01-01T00:00:00",
    "99999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+14:00",
    "2026-02-30T00:00:00Z",
]
COMMANDS = [
    ("status",),
    ("sql", "FROM runs"),
    ("verify",),
    ("vacuum", "--yes"),
    ("compact",),
    ("export", "raw", "--output", "raw.jsonl"),
    ("backup",),
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up a small account once; tests forge copies."""
    folder = tmp_path_factory.mktemp("stored")
    with running(Scenario(completions=8, seed=6, now=NOW)) as server:
        backup(settings_for(folder, server.base_url))
    return folder


@pytest.fixture
def forged(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Change, Any], Path]:
    """Return what changes the first manifest of a copy, and goes there."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.delenv("CHATLAKE_CONFIG", raising=False)

    def forge(change: Change, value: Any) -> Path:
        folder = tmp_path / "copy"
        shutil.copytree(stored, folder)
        manifest = min((folder / "lake/manifests").glob("0*.json"))
        document = json.loads(manifest.read_text())
        del document["sha256"]
        change(document, value)
        manifest.write_bytes(seal(msgspec.json.encode(document)))
        (folder / "lake/catalog.duckdb").unlink()
        monkeypatch.chdir(folder)
        return manifest

    return forge


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("value", NO_TIMES)
def test_a_time_that_is_none_is_damage(
    capsys: pytest.CaptureFixture[str],
    forged: Callable[[Change, Any], Path],
    name: str,
    value: str,
) -> None:
    """Every command names the manifest and the value, and ends with exit code 7."""
    manifest = forged(CHANGES[name], value)

    for words in COMMANDS:
        done = CommandLine(capsys)(*words)
        assert (done.code, "unexpected" in done.err) == (7, False), (words, done.err)
        assert manifest.name in done.err + done.out, words
    assert value in done.err


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("name", "value"),
    [("created_date", "someday"), ("created_date", ""), ("created_date", "20260101"),
     ("created_date", "2026-02-30"), ("rows", -1), ("bytes", -1)],
)  # fmt: skip
def test_a_file_that_cannot_be_is_damage(
    capsys: pytest.CaptureFixture[str],
    forged: Callable[[Change, Any], Path],
    name: str,
    value: Any,
) -> None:
    """An invalid day or a negative number of rows in a manifest is damage."""
    manifest = forged(of_files(name), value)

    for words in COMMANDS:
        done = CommandLine(capsys)(*words)
        assert (done.code, "unexpected" in done.err) == (7, False), (words, done.err)
        assert manifest.name in done.err + done.out, words


@pytest.mark.sample(2)
@pytest.mark.parametrize("value", [10**17, -(10**17), 2**62])
@pytest.mark.parametrize(
    "change",
    [
        lambda document, value: document["cursors"].update(
            openai={"completion_id": "x", "created": value}
        ),
        of_a_failure("created"),
    ],
)
def test_seconds_that_are_no_time_are_damage(
    capsys: pytest.CaptureFixture[str],
    forged: Callable[[Change, Any], Path],
    change: Change,
    value: int,
) -> None:
    """A time beyond the calendar is damage of the manifest, not an unexpected error."""
    manifest = forged(change, value)

    for words in COMMANDS:
        done = CommandLine(capsys)(*words)
        assert (done.code, "unexpected" in done.err) == (7, False), (words, done.err)
        assert manifest.name in done.err + done.out, words
