"""Compaction and vacuum, disturbed: killed, stopped, overtaken, damaged, without room."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chatlake import failpoints
from chatlake.bootstrap import after_run
from chatlake.bootstrap.maintenance import compact_lake
from chatlake.errors import CommitConflictError, LakeUnwritableError
from chatlake.lake import Lake, compacting
from chatlake.lake.compacting import compact
from chatlake.lake.files.parts import open_part
from chatlake.lake.files.replaced import replaced_path
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition
from chatlake.simulator import Scenario, running
from chatlake.storage.memory import MemoryStorage
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.history import check_history
from chatlake.verify.run import verify
from tests import lake_rows
from tests.command_line import CommandLine
from tests.lake_writer import commit
from tests.support import NOW, backup, rows, settings_for, write_config

KEYS = [f"k{number}" for number in range(5)]
LATER = Partition("openai", "2026-01-05")
QUERY = "SELECT completion_id, message_id, created_at, raw::VARCHAR FROM messages ORDER BY ALL"
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def lake_of_small_files(folder: Path) -> Lake:
    """Make a lake with five commits of one day and two of a later one, in two tables."""
    lake = Lake.open(folder / "lake", create=True)
    with lake.lock():
        for key in KEYS:
            commit(lake, key)
        for key in ("x", "y"):
            row = lake_rows.completion(key, lake_rows.NOON + 3 * 86_400, message_count=0)
            columns = lake_rows.columns("completions", [row])
            lake.commit(Manifest(added=lake.write_parts({("completions", LATER): columns})))
    return lake


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a lake, to be copied."""
    return Path(lake_of_small_files(tmp_path_factory.mktemp("prepared")).location)


@pytest.fixture
def small(prepared: Path, tmp_path: Path) -> Lake:
    """Such a lake, at `lake` beside a configuration."""
    write_config(tmp_path, "http://127.0.0.1:1/v1")
    return Lake.open(shutil.copytree(prepared, tmp_path / "lake"))


def content(lake: Lake) -> list[tuple[str, list[Any]]]:
    """Return the rows of every listed file by table, in order of their keys."""
    found: list[tuple[str, list[Any]]] = []
    for file in lake.state.files.values():
        with open_part(lake.storage, file.path) as part:
            found += ((file.table, list(row.values())) for row in part.read().to_pylist())
    return sorted(found, key=lambda row: (row[0], *row[1][:2]))


def killed(lake: Lake, action: str, point: str) -> None:
    """Run a process over the lake that is killed at a fail-point."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.lake_writer", lake.location, action],
        env={**os.environ, failpoints.VARIABLE: f"{point}:kill"},
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "point",
    ["part.renamed", "compaction.merged", "manifest.linked", "compaction.committed"],
)
def test_a_compaction_killed_at(small: Lake, point: str) -> None:
    """Old state or new, never a mix; the next run finishes the work."""
    expected = content(small)
    killed(small, "--compact", point)

    lake = Lake.open(small.location)
    happened = point in {"manifest.linked", "compaction.committed"}
    assert len(lake.state.files) == (3 if happened else 12)
    assert content(lake) == expected
    compact_lake(lake)
    assert len(lake.state.files) == 3
    assert content(lake) == expected
    assert verify(lake).findings == []


@pytest.mark.slow
def test_a_vacuum_killed_half_way(small: Lake) -> None:
    """Some files are gone, and none that is listed."""
    compact_lake(small)
    expected = content(small)
    killed(small, "--vacuum", "vacuum.removed")
    again = Lake.open(small.location)
    assert len(list(again.leftovers())) == 11
    assert content(again) == expected
    assert verify(again).findings == []


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=["130", "143"]
)
def test_a_compaction_that_is_stopped_keeps_what_it_committed(
    chatlake: CommandLine,
    small: Lake,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
    code: int,
) -> None:
    """The signal ends it within a merge: whole commits stay, with the exit code of the signal."""
    expected = content(small)
    monkeypatch.setattr(compacting, "COMMIT_FILES", 1)
    with failpoints.active("part.written", stop, nth=3):
        assert chatlake("compact").code == code
    lake = Lake.open(small.location)
    assert len(lake.state.files) == 4
    assert content(lake) == expected
    assert not any(file.path.endswith(".tmp") for file in lake.storage.list())
    assert chatlake("compact").code == 0
    assert len(Lake.open(lake.location).state.files) == 3


def test_a_signal_while_a_backup_merges_ends_it_by_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup itself is complete and recorded as such; the process ends as requested."""

    def stopped(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr(after_run, "compact", stopped)
    with running(Scenario(completions=5, seed=1, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        assert backup(settings).exit_code == 143
        assert rows(settings, "SELECT status FROM runs") == [("complete",)]
        monkeypatch.undo()
        assert backup(settings).exit_code == 0


def test_a_reader_of_the_old_catalogue_gets_an_error_and_opens_it_again(small: Lake) -> None:
    """Never other rows: the files that it names have moved, and the new catalogue names new ones."""
    with Lake.open(small.location).connect() as reader:
        before = reader.execute(QUERY).fetchall()
        compact_lake(small)
        with pytest.raises(duckdb.IOException, match="No files found"):
            reader.execute(QUERY).fetchall()
    with Lake.open(small.location).connect() as after:
        assert after.execute(QUERY).fetchall() == before


def test_beside_a_writer_neither_begins(chatlake: CommandLine, small: Lake) -> None:
    """Another run holds the lock: exit code 8, nothing changes; a dry run needs no lock."""
    (orphan,) = small.write_parts({
        ("completions", LATER): lake_rows.columns("completions", [lake_rows.completion("z")])
    })  # fmt: skip
    with small.lock("other"):
        done = chatlake("compact")
        assert done.code == 8
        assert "run other" in done.err
        assert chatlake("vacuum", "--older-than", "0s").code == 8
        assert chatlake("vacuum", "--older-than", "0s", "--dry-run").code == 0
    assert len(Lake.open(small.location).state.files) == 12
    assert small.storage.size(replaced_path(orphan.path))


def two_writers() -> tuple[Lake, Lake]:
    """Return two views of a lake with three small files of a table, without a lock between."""
    storage = MemoryStorage()
    first = Lake(storage)
    for key in "abc":
        add(first, key)
    return first, Lake(storage)


def add(lake: Lake, key: str) -> None:
    """Commit a completion."""
    columns = lake_rows.columns("completions", [lake_rows.completion(key)])
    lake.commit(Manifest(added=lake.write_parts({("completions", lake_rows.DAY): columns})))


def test_a_commit_that_came_between_is_kept() -> None:
    """Another writer added a file meanwhile: the compaction takes the next number, then that too."""
    lake, other = two_writers()
    came: list[None] = []

    def overtake(*_: int) -> None:
        if not came:
            came.append(add(other, "d"))

    compact(lake, "run", progress=overtake)
    again = Lake(lake.storage)
    assert set(again.stored_versions(lake_rows.DAY)) == set("abcd")
    assert len(again.state.files) == 1


def test_files_that_another_writer_replaced_meanwhile_are_not_brought_back() -> None:
    """What was merged of them is dropped, and the newest files are merged instead."""
    lake, other = two_writers()
    came: list[bool] = []

    def overtake(*_: int) -> None:
        if not came:
            came.append(True)
            written, removed = other.without_completions(lake_rows.DAY, {"b"}, ["completions"])
            other.commit(Manifest(added=written, removed=removed))

    compact(lake, "run", progress=overtake)
    again = Lake(lake.storage)
    assert set(again.stored_versions(lake_rows.DAY)) == set("ac")
    assert sum(file.rows for file in again.state.files.values()) == 2


def test_a_writer_that_never_stops_is_not_raced_for_ever() -> None:
    """After some conflicts the error says that another run writes."""
    lake, other = two_writers()
    real = lake.commit

    def overtaken(manifest: Manifest) -> None:
        other.refresh()
        add(other, f"n{other.state.number}")
        real(manifest)

    lake.commit = overtaken  # type: ignore[method-assign]
    with pytest.raises(CommitConflictError):
        compact(lake, "run")


def flip(lake: Lake, table: str) -> str:
    """Alter a byte of one listed file of a table on the first day; return its path."""
    file = lake.state.partition_files(lake_rows.DAY, table)[1]
    place = Path(lake.location) / file.path
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    return file.path


def test_a_damaged_file_is_named_and_the_rest_is_merged(chatlake: CommandLine, small: Lake) -> None:
    """Exit code 7; its bytes get no valid hash; other tables and days are merged."""
    path = flip(small, "messages")
    done = chatlake("compact", "--json")
    assert done.code == 7
    assert path in done.err
    assert done.json["error"]["kind"] == "damaged"
    assert (done.json["files_removed"], done.json["files_added"]) == (7, 2)
    lake = Lake.open(small.location)
    assert {finding.path for finding in verify(lake).findings} == {path}
    assert len(lake.state.table_files("messages")) == 5
    assert len(lake.state.table_files("completions")) == 2


def test_a_damaged_file_does_not_fail_a_backup(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of the run warns and names it; the run's own exit code stays."""
    with running(Scenario(completions=8, seed=1, days=0.2, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url, full_sweep_every=None)
        ids = server.ids()
        backup(settings, ids=ids[:2])
        lake = Lake.open(tmp_path / "lake")
        (file,) = lake.state.table_files("messages")
        place = Path(lake.location) / file.path
        data = bytearray(place.read_bytes())
        data[len(data) // 2] ^= 1
        place.write_bytes(data)
        with caplog.at_level(logging.WARNING, logger="chatlake"):
            assert backup(settings, ids=ids[2:]).exit_code == 0
    assert file.path in caplog.text
    files = Lake.open(lake.location).state
    assert len(files.table_files("completions")) == 1
    assert len(files.table_files("messages")) == 2


@pytest.mark.sample(1)
@pytest.mark.parametrize("point", ["part.written", "manifest.written"])
def test_a_full_disk_leaves_the_lake_as_it_was(small: Lake, point: str) -> None:
    """The error says what to do; nothing is lost, no temporary file stays, and it can continue."""
    expected, listed = content(small), set(small.state.files)
    with failpoints.active(point, FULL), pytest.raises(LakeUnwritableError, match="No space"):
        compact_lake(small)
    again = Lake.open(small.location)
    assert set(again.state.files) == listed
    assert not any(file.path.endswith(".tmp") for file in again.storage.list())
    compact_lake(again)
    assert content(again) == expected
    assert check_history(RereadingStorage(again.storage, time.sleep)).findings == []


def test_a_disk_that_is_full_for_merging_does_not_fail_a_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was fetched is committed: the run is complete, with a warning."""

    def full(*_: object, **__: object) -> None:
        raise LakeUnwritableError("No space left")

    monkeypatch.setattr(after_run, "compact", full)
    with running(Scenario(completions=5, seed=1, now=NOW)) as server:
        assert backup(settings_for(tmp_path, server.base_url)).exit_code == 0
    assert "small files were not merged: No space left" in caplog.text
