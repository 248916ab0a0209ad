"""While no run is writing, a table's folder has exactly the files of the newest manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chatlake import failpoints
from chatlake.bootstrap.maintenance import compact_lake, tidy_lake, vacuum_lake
from chatlake.errors import ChatlakeError, LakeUnwritableError
from chatlake.exports.day_tables import DayTables
from chatlake.exports.raw import export_raw
from chatlake.lake import Lake
from chatlake.lake.compacting import compact
from chatlake.lake.files.replaced import replaced_path
from chatlake.lake.files.schema import SCHEMAS
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition
from chatlake.storage.memory import MemoryStorage
from chatlake.verify.run import verify
from tests import lake_rows
from tests.command_line import CommandLine
from tests.forked import killed
from tests.lake_writer import commit
from tests.support import write_config

pytestmark = pytest.mark.slow

FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "lake_format_1" / "lake"
WEEK = timedelta(days=7)
QUERY = "SELECT completion_id, message_id, raw::VARCHAR FROM messages ORDER BY ALL"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake with three small commits."""
    lake = Lake.open(tmp_path_factory.mktemp("made") / "lake", create=True)
    for key in "abc":
        commit(lake, key)
    return Path(lake.location)


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    """A lake with three small commits that a catalogue has shown, beside a configuration."""
    write_config(tmp_path, "http://127.0.0.1:1/v1")
    shutil.copytree(made, tmp_path / "lake")
    lake = Lake.open(tmp_path / "lake")
    lake.refresh_catalog(force=True)
    return lake


def globbed(lake: Lake | Path) -> set[str]:
    """Return what plain globs over the tables' folders find."""
    place = Path(lake.location) if isinstance(lake, Lake) else lake
    return {
        path.relative_to(place).as_posix()
        for table in SCHEMAS
        for path in (place / table).rglob("*.parquet")
    }


def listed(lake: Lake) -> set[str]:
    """Return what the newest manifest lists."""
    return set(Lake.open(lake.location).state.files)


def replaced(lake: Lake) -> set[str]:
    """Return the files below `replaced/`."""
    return {file.path for file in lake.storage.list("replaced")}


def answer(lake: Lake) -> list[tuple[object, ...]]:
    """Ask the views."""
    with Lake.open(lake.location).connect() as connection:
        return connection.execute(QUERY).fetchall()


def write_and_merge(lake: Lake) -> None:
    """Commit three completions and merge their files, in one run."""
    with lake.lock("run"):
        for key in "abc":
            commit(lake, key)
        compact(lake, "run")


def test_replaced_files_move_under_the_same_path(lake: Lake) -> None:
    """Globs find the listed files; the others lie below `replaced/` until vacuum's grace is over."""
    before = globbed(lake)
    compact_lake(lake)
    assert globbed(lake) == listed(lake)
    assert replaced(lake) == {replaced_path(path) for path in before}
    assert vacuum_lake(lake, WEEK)[0] == []
    assert {file.path for file in vacuum_lake(lake, timedelta(0))[0]} == {
        replaced_path(path) for path in before
    }
    assert not (Path(lake.location) / "replaced").exists()
    assert verify(lake).findings == []


def test_what_no_catalogue_has_shown_goes_at_once(tmp_path: Path) -> None:
    """A file written and merged within one run is not needed, so it is removed."""
    lake = Lake.open(tmp_path / "lake", create=True)
    write_and_merge(lake)
    assert globbed(lake) == listed(lake)
    assert len(listed(lake)) == 2
    assert list(lake.leftovers()) == []


def test_what_a_catalogue_of_the_run_itself_has_shown_stays(tmp_path: Path) -> None:
    """Another reader may have opened that: it finds the files below `replaced/`."""
    lake = Lake.open(tmp_path / "lake", create=True)
    with lake.lock("run"):
        commit(lake, "a")
        lake.refresh_catalog(force=True)
        shown = set(lake.state.files)
        commit(lake, "b")
        compact(lake, "run")
    assert replaced(lake) == {replaced_path(path) for path in shown}
    assert globbed(lake) == listed(lake)


POINTS = [
    "manifest.linked",
    "commit.applied",
    "catalog.written",
    "catalog.swapped",
    "tidying.started",
    "tidying.moved",
    "tidying.ended",
]


@pytest.mark.sample(1)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(lake: Lake, point: str) -> None:
    """The rows stay the same for every reader, and the next run leaves the folders exact."""
    expected = answer(lake)
    killed(lake.location, "--compact", at=point, environment=os.environ)

    assert answer(lake) == expected
    assert verify(Lake.open(lake.location)).findings == []
    again = Lake.open(lake.location)
    tidy_lake(again)
    assert globbed(again) == listed(again)
    assert len(listed(again)) == 2
    assert answer(again) == expected


def test_killed_between_two_files_that_go(tmp_path: Path) -> None:
    """What no catalogue has shown is gone in part: the next run moves the rest away."""
    lake = Lake.open(tmp_path / "lake", create=True)
    with (
        failpoints.active("tidying.removed", KeyboardInterrupt()),
        pytest.raises(KeyboardInterrupt),
    ):
        write_and_merge(lake)
    assert len(globbed(lake) - listed(lake)) == 5
    tidy_lake(lake)
    assert globbed(lake) == listed(lake)


def test_leftovers_of_a_killed_writer_leave_the_folders_with_the_next_run(lake: Lake) -> None:
    """Parts that no manifest ever listed, of both tables: moved, since a commit may be under way."""
    killed(lake.location, "d", at="commit.started", environment=os.environ)
    orphans = globbed(lake) - listed(lake)
    assert len(orphans) == 2
    with lake.lock():
        commit(lake, "e")
    assert globbed(lake) == listed(lake)
    assert replaced(lake) == {replaced_path(path) for path in orphans}


def test_a_listed_file_that_was_moved_away_comes_back(lake: Lake) -> None:
    """A commit that came while another run tidied: the file is named, and put back by the next run."""
    expected, path = answer(lake), min(listed(lake))
    lake.storage.move({path: replaced_path(path)})

    report = verify(lake)
    assert [(finding.path, finding.kind) for finding in report.findings] == [(path, "misplaced")]
    tidy_lake(lake)
    assert globbed(lake) == listed(lake)
    assert answer(lake) == expected
    assert verify(lake).findings == []


def test_the_folders_of_an_old_lake_are_tidied(tmp_path: Path) -> None:
    """Format 1 as its first version left it: replaced files beside listed ones."""
    place = Path(shutil.copytree(FORMAT_1, tmp_path / "lake"))
    lake = Lake.open(place)
    with lake.lock():
        compact(lake, "old")
        merged = globbed(lake) - set(lake.state.files)
    for path in replaced(lake):  # as it was before: beside their successors
        lake.storage.move({path: path.removeprefix("replaced/")})
    assert globbed(lake) - listed(lake) >= merged
    assert merged

    write_config(tmp_path, "http://127.0.0.1:1/v1")
    vacuum_lake(lake, WEEK)
    assert globbed(lake) == listed(lake)
    assert verify(lake).findings == []


def test_vacuum_tidies_when_nothing_is_old_enough_to_go(chatlake: CommandLine, lake: Lake) -> None:
    """The command alone is enough; a dry run changes nothing."""
    (orphan,) = lake.write_parts({
        ("completions", lake_rows.DAY): lake_rows.columns(
            "completions", [lake_rows.completion("z")]
        )
    })  # fmt: skip
    assert chatlake("vacuum", "--dry-run").code == 0
    assert orphan.path in globbed(lake)
    assert chatlake("vacuum").code == 0
    assert globbed(lake) == listed(lake)
    assert lake.storage.size(replaced_path(orphan.path))


def test_readers_find_what_has_moved_under_them(lake: Lake, tmp_path: Path) -> None:
    """An export or verification that began before a compaction continues with its own commit."""
    before = tmp_path / "before.jsonl"
    export_raw(lake, before)
    old = Lake.open(lake.location)
    compact_lake(lake)
    assert old.missing_files() != []
    for file in old.state.files.values():
        assert old.stored_versions(file.partition)
    assert verify(old).findings == []
    assert not old.state.files.keys() <= listed(lake)


def test_an_export_goes_on_when_files_move_while_it_reads(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps of it a compaction replaces every file, and the same bytes come out."""
    export_raw(lake, tmp_path / "before.jsonl")
    real, moved = DayTables.completions_within, []

    def merge_first(tables: DayTables, size: int, *names: str) -> int:
        if not moved:
            moved.append(True)
            compact_lake(Lake.open(lake.location))
        return real(tables, size, *names)

    monkeypatch.setattr(DayTables, "completions_within", merge_first)
    export_raw(Lake.open(lake.location), tmp_path / "after.jsonl")
    assert moved
    assert (tmp_path / "after.jsonl").read_bytes() == (tmp_path / "before.jsonl").read_bytes()


def test_an_export_whose_files_are_gone_says_to_run_it_again(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged and vacuumed while it read: that is not damage, and the file is not written."""
    real = DayTables.turn_to

    def vacuum_first(tables: DayTables, partitions: Iterable[Partition]) -> None:
        other = Lake.open(lake.location)
        compact_lake(other)
        vacuum_lake(other, timedelta(0))
        real(tables, partitions)

    monkeypatch.setattr(DayTables, "turn_to", vacuum_first)
    with pytest.raises(ChatlakeError, match="merged") as caught:
        export_raw(Lake.open(lake.location), tmp_path / "out.jsonl")
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_prompt_that_is_open_goes_on(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The second question comes after a compaction: the views are opened again, unnoticed."""
    from chatlake.cli.sql_answer import open_for_questions

    with open_for_questions(Lake.open(lake.location)) as questions:
        questions.answer(QUERY, "csv", None)
        first = capsys.readouterr().out
        compact_lake(lake)
        questions.answer(QUERY, "csv", None)
    assert capsys.readouterr().out == first
    assert len(first.splitlines()) == 7


@pytest.mark.parametrize("words", [("show", "a"), ("search", "hello"), ("ask", "usage"), ("runs",)])
def test_a_command_goes_on_when_files_move_before_it_reads(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...],
) -> None:  # fmt: skip
    """Every command that reads the views opens them again when a compaction came in between."""
    config = tmp_path / "chatlake.yaml"
    config.write_text(
        f"version: 1\nlake: {lake.location}\n"
        "sources: [{name: openai, base_url: 'http://127.0.0.1:1/v1', api_key: '${KEY}'}]\n"
    )
    chatlake = CommandLine(capsys)
    expected = chatlake(*words, "--config", str(config), "--json")
    connect = Lake.connect
    opened: list[Lake] = []

    def connect_and_compact(self: Lake) -> Any:
        connection = connect(self)
        if not opened:
            compact_lake(Lake.open(lake.location))
        opened.append(self)
        return connection

    monkeypatch.setattr(Lake, "connect", connect_and_compact)
    found = chatlake(*words, "--config", str(config), "--json")

    assert (found.code, expected.code) == (0, 0), found.err
    if words != ("runs",):  # a table of the catalogue itself: no file is read
        assert len(opened) == 2
        assert found.json == expected.json


def test_a_move_that_is_refused_fails_no_run(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All is committed: the run warns, and the next one moves the files."""

    def refuse(*_: object) -> None:
        raise LakeUnwritableError("Permission denied")

    monkeypatch.setattr(lake.storage, "move", lambda moves: refuse() if moves else None)
    compact_lake(lake)
    assert "Permission denied" in caplog.text
    assert globbed(lake) > listed(lake)
    monkeypatch.undo()
    tidy_lake(lake)
    assert globbed(lake) == listed(lake)


def test_nothing_moves_while_the_old_catalogue_stays(lake: Lake) -> None:
    """No room for the new catalogue: the old one still names its files, so they stay there."""
    before = globbed(lake)
    full = LakeUnwritableError("No space left")
    with (
        failpoints.active("catalog.written", full, nth=1),
        pytest.raises(LakeUnwritableError),
        lake.lock(),
    ):
        compact(lake, "run")
    assert before < globbed(lake)
    tidy_lake(lake)
    assert globbed(lake) == listed(lake)


def test_a_place_without_a_catalogue_is_tidy_too() -> None:
    """No catalogue has shown the files that a run replaces of its own, so they are removed."""
    lake = Lake(MemoryStorage())
    with lake.lock():
        for key in "ab":
            commit(lake, key)
        compact(lake, "run")
        lake.commit(Manifest())
    assert {file.path for file in lake.storage.list("completions")} <= lake.state.files.keys()
    assert list(lake.storage.list("replaced")) == []


def test_status_tells_replaced_files_from_others(chatlake: CommandLine, lake: Lake) -> None:
    """`status` counts files that vacuum removes later apart from those of a killed writer."""
    compact_lake(lake)
    killed(lake.location, "d", at="commit.started", environment=os.environ)
    document = chatlake("status", "--json").json
    assert document["replaced"]["files"] == 6
    assert document["unlisted"]["files"] == 8
    assert document["replaced"]["bytes"] < document["unlisted"]["bytes"]
    text = chatlake("status").out
    assert "in 6 replaced files, kept for readers until chatlake vacuum" in text
    assert "in 2 files that no manifest lists" in text
