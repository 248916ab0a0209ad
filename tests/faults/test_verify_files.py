"""Any changed byte of a data file is found, and the file is named."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chatlake.lake import Lake
from chatlake.lake.files.replaced import replaced_path
from chatlake.model.counts import count
from chatlake.model.manifest import Manifest
from chatlake.simulator import Scenario, running
from tests.faults.verify_lakes import (
    TABLES,
    back_up,
    change,
    check,
    copy,
    file_of,
    paths,
)
from tests.support import NOW, backup, rows, settings_for


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up an account once."""
    return back_up(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def lake(whole: Path, tmp_path: Path) -> Path:
    """Copy the lake, to damage it."""
    return copy(whole, tmp_path)


def test_an_untouched_lake_is_sound(whole: Path) -> None:
    """No finding, no note, and all files, bytes and rows that the manifest lists were read."""
    state = Lake.open(whole).state

    report = check(whole)

    assert (report.findings, report.notes) == ([], [])
    assert report.files == report.listed_files == len(state.files)
    assert report.bytes == sum(file.bytes for file in state.files.values())
    assert report.rows == sum(file.rows for file in state.files.values())
    assert report.manifests == state.number + 1


def test_a_copied_lake_is_sound(whole: Path, tmp_path: Path) -> None:
    """A catalogue of the place before is a note, not damage."""
    shutil.copytree(whole, tmp_path / "copy")

    report = check(tmp_path / "copy")

    assert report.findings == []
    assert "writes it again" in report.notes[0]


@pytest.mark.parametrize("seed", range(6))
def test_a_flipped_bit_anywhere(lake: Path, seed: int) -> None:
    """In one file of each table, at its ends or anywhere: just these files are named."""
    dice = random.Random(seed)
    damaged = set()
    for table in TABLES:
        files = Lake.open(lake).state.table_files(table)
        file = dice.choice(files)
        position = (0, -1, -12)[seed] if seed < 3 else dice.randrange(file.bytes)

        def flip(data: bytes, position: int = position) -> bytes:
            changed = bytearray(data)
            changed[position] ^= 1 << dice.randrange(8)
            return bytes(changed)

        change(lake / file.path, flip)
        damaged.add(file.path)

    report = check(lake)

    assert paths(report) == damaged
    assert {finding.kind for finding in report.findings} == {"altered"}
    assert all("backup --full" in finding.remedy for finding in report.findings)


@pytest.mark.parametrize(
    "how",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda d: d + b"x",
    ],
)
def test_a_truncated_or_longer_file(lake: Path, how: Callable[[bytes], bytes]) -> None:
    """Cut anywhere, empty, or with bytes appended, one of each table: named, with both sizes."""
    files = {file.path: file for file in (file_of(lake, table) for table in TABLES)}
    for path in files:
        change(lake / path, how)

    report = check(lake)

    assert paths(report) == set(files)
    for finding in report.findings:
        assert finding.kind == "size"
        assert f"{(lake / finding.path).stat().st_size:,} bytes" in finding.problem
        assert f"{files[finding.path].bytes:,}" in finding.problem


def test_a_missing_file(lake: Path) -> None:
    """One of each table is deleted: named, with the rows that it held."""
    files = {file.path: file for file in (file_of(lake, table) for table in TABLES)}
    for path in files:
        (lake / path).unlink()

    report = check(lake)

    assert paths(report) == set(files)
    for finding in report.findings:
        assert finding.kind == "missing"
        assert count(files[finding.path].rows, "row") in finding.problem
        assert "backup --full" in finding.remedy


@pytest.mark.parametrize("table", TABLES[:4])
def test_two_files_that_changed_places(lake: Path, table: str) -> None:
    """Both are named: each is whole, and neither is the one that the manifest lists."""
    one, other = (lake / file_of(lake, table, index).path for index in (0, 1))
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)

    assert paths(check(lake)) == {str(path.relative_to(lake)) for path in (one, other)}


def test_an_older_file_in_place_of_a_newer_one(lake: Path) -> None:
    """A valid file of the same partition, from before a change, is not the one that is listed."""
    state = Lake.open(lake).state
    listed = state.table_files("history")[0].partition
    newer = state.partition_files(listed, "completions")[-1]
    older = next((lake / replaced_path(newer.path)).parent.glob("part-*.parquet"))
    shutil.copyfile(older, lake / newer.path)

    assert paths(check(lake)) == {newer.path}


def test_a_folder_in_place_of_a_file(lake: Path) -> None:
    """What cannot be read is a finding that says why, and the other files are still checked."""
    folder, cut = file_of(lake, "messages"), file_of(lake, "images")
    (lake / folder.path).unlink()
    (lake / folder.path).mkdir()
    change(lake / cut.path, lambda data: data[:-1])

    report = check(lake)

    assert paths(report) == {folder.path, cut.path}
    (finding,) = (finding for finding in report.findings if finding.path == folder.path)
    assert finding.kind == "unreadable"
    assert "cannot be read: Is a directory" in finding.problem


def test_every_damage_at_once(lake: Path) -> None:
    """One file after the other: nothing hides behind the first."""
    state = Lake.open(lake).state
    for path in state.files:
        change(lake / path, lambda data: data[:-1])

    assert paths(check(lake)) == set(state.files)


def test_what_was_merged_and_removed_meanwhile_is_not_missing(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another process unlists during the check is not damage."""
    opened = Lake.open(lake)
    file = file_of(lake, "missed")
    commit = opened.commit

    def merge(*_: object) -> bool:
        commit(Manifest(removed=[file.path]))
        (lake / file.path).unlink()
        monkeypatch.undo()
        return True

    monkeypatch.setattr("chatlake.verify.run.choose", lambda files, *_: (merge(), files)[1])

    assert check(lake).findings == []


def test_nothing_is_changed_but_the_record(lake: Path) -> None:
    """All other files keep bytes and time."""

    def seen() -> dict[str, tuple[bytes, int]]:
        files = (path for path in lake.rglob("*") if path.is_file())
        return {
            path.name: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in files
            if path.name != "verified.json"
        }

    before = seen()
    check(lake)
    assert seen() == before
    assert (lake / "verified.json").stat().st_mode & 0o777 == 0o600


def test_the_remedy_heals(tmp_path: Path) -> None:
    """Delete what is damaged and run a full backup: then all is sound, and the rows are back."""
    with running(Scenario(completions=60, seed=5, days=2, now=NOW, image_share=0.3)) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
        lake = Path(settings.lake_location)
        before = check(lake)
        for table in TABLES[:4]:
            (lake / file_of(lake, table).path).unlink()
        assert len(check(lake).findings) == 4

        backup(settings, full=True)

    after = check(lake)
    assert (after.findings, after.notes) == ([], [])
    assert before.findings == []
    tables = ("completions", "messages", "content_parts", "images")
    counts = [rows(settings, f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    assert counts[0] == 60
    assert sum(counts) == before.rows
