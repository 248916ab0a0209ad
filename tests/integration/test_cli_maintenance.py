"""`chatlake compact` and `chatlake vacuum`, and what a backup merges at its end."""

from __future__ import annotations

import io
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from chatlake.lake import Lake
from chatlake.lake.files.replaced import replaced_path
from chatlake.simulator import Scenario, running
from chatlake.verify.run import verify
from tests.command_line import CommandLine
from tests.support import NOW, backup, rows, settings_for

SCENARIO = Scenario(completions=40, seed=4, days=0.3, now=NOW, image_share=0.3, image_bytes=500)
MANY = 4


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one day that four runs have written to, and its configuration; none merged."""
    folder = tmp_path_factory.mktemp("backed_up")
    with running(SCENARIO) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatlake.bootstrap.backup.compact_after", lambda *_: None)
        settings = settings_for(folder, server.base_url, full_sweep_every=None)
        ids = server.ids()
        for number in range(MANY):
            backup(settings, ids=ids[number::MANY])
    return folder


@pytest.fixture
def lake(backed_up: Path, tmp_path: Path) -> Lake:
    """A copy of it, where the command line works."""
    shutil.copytree(backed_up, tmp_path, dirs_exist_ok=True)
    return Lake.open(tmp_path / "lake")


def files(lake: Lake) -> Counter[str]:
    """Return the number of listed files by table."""
    return Counter(file.table for file in Lake.open(lake.location).state.files.values())


def still_there(lake: Lake) -> bool:
    """Say whether every file that the lake listed before it was merged lies in `replaced/`."""
    return all(lake.storage.size(replaced_path(path)) for path in lake.state.files)


def test_compact_merges_and_says_so(chatlake: CommandLine, lake: Lake, tmp_path: Path) -> None:
    """One file a table and day; exports, views and verify find all as it was; then it rests."""
    assert chatlake("export", "raw", "--output", "before.jsonl").code == 0
    before = sum(files(lake).values())
    done = chatlake("compact")
    assert done.code == 0
    after = files(lake)
    assert set(after.values()) == {1}
    assert f"Merged {before} files" in done.out
    assert f"into {sum(after.values())}" in done.out
    assert "chatlake vacuum" in done.out
    assert chatlake("export", "raw", "--output", "after.jsonl").code == 0
    assert (tmp_path / "before.jsonl").read_bytes() == (tmp_path / "after.jsonl").read_bytes()
    assert verify(Lake.open(lake.location)).findings == []
    assert chatlake("compact").out.startswith("Nothing to merge")


def test_compact_reports_as_json(chatlake: CommandLine, lake: Lake) -> None:
    """One document with what was merged, into what."""
    before = lake.state
    document = chatlake("compact", "--json").json
    assert document["status"] == "complete"
    assert document["files_removed"] == len(before.files)
    assert document["bytes_removed"] == sum(file.bytes for file in before.files.values())
    assert document["files_added"] == document["files"] == sum(files(lake).values())
    assert document["rows"] == sum(file.rows for file in before.files.values())
    assert document["damaged"] == []


def test_runs_and_completeness_stay_as_they_were(chatlake: CommandLine, lake: Lake) -> None:
    """A compaction is not a run: `status` shows the same sources and runs."""
    before = chatlake("status", "--json").json
    chatlake("compact")
    after = chatlake("status", "--json").json
    assert after["runs"] == before["runs"]
    changed = {"bytes", "files", "expires_in_days", "newest_age_seconds"}
    for one, other in zip(before["sources"], after["sources"], strict=True):
        assert {key for key in one if one[key] != other[key]} <= changed
    assert before["unlisted"] == {"files": 0, "bytes": 0}
    assert after["unlisted"]["files"] == before["sources"][0]["files"]
    assert after["replaced"] == after["unlisted"]
    assert "kept for readers until chatlake vacuum" in chatlake("status").out


def test_vacuum_keeps_what_was_replaced_just_now(chatlake: CommandLine, lake: Lake) -> None:
    """By default, files that readers may still need stay for a week, and are reported."""
    chatlake("compact")
    done = chatlake("vacuum")
    assert done.code == 0
    assert "Nothing to remove" in done.out
    assert "written or replaced within 7d" in done.out
    assert still_there(lake)


def test_a_dry_run_removes_nothing(chatlake: CommandLine, lake: Lake) -> None:
    """It shows what a vacuum would remove, in words and as JSON."""
    chatlake("compact")
    merged = len(lake.state.files)
    told = chatlake("vacuum", "--older-than", "0s", "--dry-run")
    assert f"would remove {merged} files" in told.out
    document = chatlake("vacuum", "--older-than", "0s", "--dry-run", "--json").json
    assert (document["dry_run"], document["removed"], document["kept"]) == (True, merged, 0)
    assert {file["path"] for file in document["files"]} == {
        replaced_path(path) for path in lake.state.files
    }
    assert still_there(lake)


def test_without_a_terminal_vacuum_says_what_it_removes_and_does(
    chatlake: CommandLine, lake: Lake
) -> None:
    """A script, or cron: no question; the lake is as it was, with only what it lists."""
    chatlake("compact")
    done = chatlake("vacuum", "--older-than", "0s", "--json")
    assert done.err.startswith("About to remove")
    assert done.json["removed"] == len(lake.state.files)
    again = Lake.open(lake.location)
    assert list(again.leftovers()) == []
    assert verify(again).findings == []
    assert chatlake("vacuum", "--older-than", "0s").out.startswith("Nothing to remove")


@pytest.mark.sample(1)
@pytest.mark.parametrize(("answer", "removes"), [("y\n", True), ("\n", False), ("", False)])
def test_on_a_terminal_vacuum_asks(
    chatlake: CommandLine, lake: Lake, monkeypatch: pytest.MonkeyPatch, answer: str, removes: bool
) -> None:
    """Only a yes removes; an empty answer, or none, leaves all as it is."""
    chatlake("compact")
    with monkeypatch.context() as patch:
        patch.setattr("chatlake.cli.vacuum._is_asked", lambda: True)
        patch.setattr(sys, "stdin", io.StringIO(answer))
        done = chatlake("vacuum", "--older-than", "0s")
    assert "Remove them? [y/N]" in done.err
    assert ("Nothing was removed" in done.out) is not removes
    assert still_there(lake) is not removes


@pytest.mark.parametrize("age", ["3", "-1d", "a week"])
def test_an_age_that_is_none_is_refused(chatlake: CommandLine, lake: Lake, age: str) -> None:
    """Exit code 2, and what is expected."""
    done = chatlake("vacuum", "--older-than", age)
    assert done.code == 2
    assert "expected a duration" in done.err


def test_a_damaged_manifest_stops_a_vacuum(chatlake: CommandLine, lake: Lake) -> None:
    """Exit code 7: what it removed is not known, so nothing is removed."""
    chatlake("compact")
    place = Path(lake.location) / "manifests" / "000000000003.json"
    place.write_bytes(place.read_bytes().replace(b"openai", b"0penai", 1))
    assert chatlake("vacuum", "--older-than", "0s").code == 7
    assert still_there(lake)


def test_every_backup_merges_at_its_end(chatlake: CommandLine, lake: Lake) -> None:
    """The run's figures count what it fetched; the files of the day become one a table."""
    with running(SCENARIO) as server:
        settings = settings_for(Path(lake.location).parent, server.base_url)
        server.grow(3)
        report = backup(settings)
        assert report.exit_code == 0
        assert report.sources[0].run.files_added <= 2 * len(files(lake))
        assert max(files(lake).values()) <= 2  # what has grown may be of another day
        assert rows(settings, "SELECT count(*) FROM completions") == [(43,)]
        number = Lake.open(lake.location).state.number
        backup(settings)
        assert Lake.open(lake.location).state.number == number + 1
        server.grow(3)
        assert backup(settings, dry_run=True).exit_code == 0
        assert Lake.open(lake.location).state.number == number + 1
