"""`copy`: whatever happens meanwhile, the copy shows one whole commit of the lake."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatlake import failpoints
from chatlake.bootstrap.forgetting import Choice, forget_choice
from chatlake.bootstrap.maintenance import compact_lake
from chatlake.errors import LakeDamagedError, LakeError, LakeLockedError
from chatlake.failpoints import FailPointError
from chatlake.lake import Lake
from chatlake.lake.copying import copy_lake
from chatlake.lake.manifests import read_head
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.verify.run import verify
from tests.command_line import CommandLine
from tests.lake_bytes import files_with
from tests.lake_writer import commit
from tests.support import write_config

pytestmark = pytest.mark.slow

QUERY = "SELECT completion_id, message_id, raw::VARCHAR FROM messages ORDER BY ALL"
GONE = "forget-me-74312"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake with small files and a checkpoint."""
    lake = Lake.open(tmp_path_factory.mktemp("made") / "lake", create=True)
    with lake.lock():
        for key in "abc":
            commit(lake, key)
        while lake.state.number < CHECKPOINT_EVERY + 1:
            lake.commit(Manifest())
    return Path(lake.location)


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    """A lake with small files and a checkpoint, beside a configuration."""
    write_config(tmp_path, "http://127.0.0.1:1/v1")
    return Lake.open(shutil.copytree(made, tmp_path / "lake"))


@pytest.fixture
def other(tmp_path: Path) -> Lake:
    """An empty place."""
    return Lake.open(tmp_path / "copy", create=True)


def answer(lake: Lake) -> list[tuple[object, ...]]:
    """Ask the views."""
    with Lake.open(lake.location).connect() as connection:
        return connection.execute(QUERY).fetchall()


def assert_equal(lake: Lake, other: Lake) -> None:
    """Assert that both show the same commit, whole, and that globs over the copy are exact."""
    copy = Lake.open(other.location)
    assert answer(copy) == answer(lake)
    heads = [
        read_head(each.storage, each.state.number) for each in (copy, Lake.open(lake.location))
    ]
    assert heads[0] == heads[1] is not None
    report = verify(copy)
    assert (report.findings, report.notes) == ([], [])
    there = {p.relative_to(copy.location).as_posix() for p in Path(copy.location).rglob("part-*")}
    assert {path for path in there if not path.startswith("replaced/")} == set(copy.state.files)


def test_a_first_copy_and_one_that_adds_what_is_new(lake: Lake, other: Lake) -> None:
    """The second time only new files are copied; what was merged since leaves the folders."""
    first = copy_lake(lake, other, run_id="1")
    assert (first.files, first.commits) == (6, CHECKPOINT_EVERY + 1)
    assert_equal(lake, other)

    with lake.lock():
        commit(lake, "d")
    second = copy_lake(lake, Lake.open(other.location), run_id="2")
    assert (second.files, second.commits) == (2, 1)
    compact_lake(lake)
    third = copy_lake(lake, Lake.open(other.location), run_id="3")
    assert third.files == 2
    assert_equal(lake, other)
    again = copy_lake(lake, Lake.open(other.location), run_id="4")
    assert (again.files, again.commits) == (0, 0)


@dataclass(frozen=True, slots=True)
class Behind:
    """A lake, a copy of it that lacks commits and a compaction, and what the views of both show."""

    lake: Path
    other: Path
    shown: list[tuple[object, ...]]
    before: list[tuple[object, ...]]


@pytest.fixture(scope="module")
def behind(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Behind:
    """Copy a lake, then commit what comes before and after a checkpoint, and compact."""
    folder = tmp_path_factory.mktemp("behind")
    lake = Lake.open(shutil.copytree(made, folder / "lake"))
    other = Lake.open(folder / "copy", create=True)
    copy_lake(lake, other, run_id="1")
    with lake.lock():
        for key in "de":
            commit(lake, key)
        while lake.state.number < 2 * CHECKPOINT_EVERY + 1:
            lake.commit(Manifest())
    compact_lake(lake)
    return Behind(Path(lake.location), Path(other.location), answer(lake), answer(other))


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "point",
    ["part.written", "part.renamed", "manifest.written", "manifest.linked", "checkpoint.linked",
     "catalog.written", "tidying.started", "tidying.moved"],
)  # fmt: skip
@pytest.mark.parametrize("nth", [1, 2])
def test_stopped_at(behind: Behind, tmp_path: Path, point: str, nth: int) -> None:
    """The copy shows a whole commit or the one before; the next copy ends what was begun."""
    lake = Lake.open(behind.lake)  # a copy only reads it
    other = Lake.open(shutil.copytree(behind.other, tmp_path / "copy"))
    try:
        with failpoints.active(point, FailPointError(point), nth=nth):
            copy_lake(lake, other, run_id="2")
    except FailPointError:
        assert answer(other) in (behind.before, behind.shown)
    copy_lake(lake, Lake.open(other.location), run_id="3")
    assert_equal(lake, other)


def test_while_a_backup_writes_and_merges(lake: Lake, other: Lake) -> None:
    """Copies beside a writer: each is sound, and the last is equal."""
    done = threading.Event()

    def write() -> None:
        own = Lake.open(lake.location)
        for number in range(5):
            with own.lock():
                commit(own, f"w{number}")
            if number % 3 == 0:
                compact_lake(own)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not done.is_set():
            copy_lake(Lake.open(lake.location), Lake.open(other.location), run_id="1")
            assert verify(Lake.open(other.location)).is_sound
    finally:
        writer.join()
    copy_lake(Lake.open(lake.location), Lake.open(other.location), run_id="2")
    assert_equal(lake, other)


def test_what_the_lake_forgets_the_copy_forgets(lake: Lake, other: Lake) -> None:
    """At the next copy: no byte of it is left there either, and the receipt is."""
    with lake.lock():
        commit(lake, GONE)
    copy_lake(lake, other, run_id="1")
    assert files_with(other, GONE)
    forget_choice(lake, Choice((GONE,)), reason="asked")
    copy_lake(lake, Lake.open(other.location), run_id="2")
    assert files_with(other, GONE) == set()
    assert [file.path for file in other.storage.list("receipts")] == ["receipts/forget-000001.json"]
    assert_equal(lake, other)


def test_a_damaged_file_is_not_copied(lake: Lake, other: Lake) -> None:
    """The copy stays at the commit before, and the file is named."""
    copy_lake(lake, other, run_id="1")
    with lake.lock():
        commit(lake, "d")
    path = Lake.open(lake.location).state.table_files("messages")[-1].path
    place = Path(lake.location) / path
    place.write_bytes(bytes(reversed(place.read_bytes())))
    with pytest.raises(LakeDamagedError, match=Path(path).name):
        copy_lake(lake, Lake.open(other.location), run_id="2")
    copy = Lake.open(other.location)
    assert copy.state.number == CHECKPOINT_EVERY + 1
    assert verify(copy).is_sound


def test_another_lake_is_left_alone(lake: Lake, other: Lake) -> None:
    """A lake with other commits, or one that is ahead, is left as it is."""
    with other.lock():
        commit(other, "x")
    with pytest.raises(LakeError, match="another lake"):
        copy_lake(lake, other, run_id="1")
    assert answer(other) == answer(Lake.open(other.location))
    ahead = Lake.open(shutil.copytree(lake.location, Path(lake.location).parent / "ahead"))
    with ahead.lock():
        ahead.commit(Manifest())
    with pytest.raises(LakeError, match="does not have"):
        copy_lake(lake, ahead, run_id="1")


def test_a_copy_that_is_locked(lake: Lake, other: Lake) -> None:
    """While another run writes to the copy, nothing is copied."""
    with other.lock("held"), pytest.raises(LakeLockedError):
        copy_lake(lake, Lake.open(other.location), run_id="1")


@pytest.fixture
def there(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go where the lake's configuration is."""
    folder = Path(lake.location).parent
    monkeypatch.chdir(folder)
    return folder


def test_the_command(there: Path, lake: Lake, chatlake: CommandLine) -> None:
    """One line on what is new, the fingerprint, JSON; the lake itself is refused as DEST."""
    done = chatlake("copy", "elsewhere")
    assert done.code == 0
    assert "6 new files" in done.out
    document = json.loads(chatlake("copy", "elsewhere", "--json").out)
    assert (document["files"], document["commit"]) == (0, CHECKPOINT_EVERY + 1)
    assert document["fingerprint"] in done.out
    assert_equal(lake, Lake.open(there / "elsewhere"))
    for place in ("lake", "lake/copy", "."):
        assert chatlake("copy", place).code == 2


def test_manifests_first_and_then_the_rest(lake: Lake, tmp_path: Path) -> None:
    """So other tools may copy a lake during a backup: what the manifests list comes later."""
    copy = tmp_path / "by-hand"
    shutil.copytree(Path(lake.location) / "manifests", copy / "manifests")
    with lake.lock():
        commit(lake, "d")
    compact_lake(lake)
    for path in Path(lake.location).iterdir():
        if path.is_dir() and path.name != "manifests":
            shutil.copytree(path, copy / path.name)
    assert [row[0] for row in answer(Lake.open(copy))] == ["a", "a", "b", "b", "c", "c"]


def test_a_copy_in_order_of_names_answers_for_the_rest(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chatlake: CommandLine
) -> None:
    """Data first, then a backup, then its manifests: the views name what they lack."""
    copy = tmp_path / "by-name" / "lake"
    for table in ("completions", "messages"):
        shutil.copytree(Path(lake.location) / table, copy / table)
    with lake.lock():
        commit(lake, "late")
    shutil.copytree(Path(lake.location) / "manifests", copy / "manifests")
    shutil.copytree(Path(lake.location) / "schema", copy / "schema")
    shutil.copy(Path(lake.location) / "catalog.duckdb", copy)
    write_config(tmp_path / "by-name", "http://127.0.0.1:1/v1")
    monkeypatch.chdir(tmp_path / "by-name")

    done = chatlake("sql", "SELECT completion_id FROM completions ORDER BY ALL", "--format", "csv")

    assert done.code == 0
    assert done.out.split() == ["completion_id", "a", "b", "c"]
    lost = Lake.open(lake.location).state.table_files("completions")[-1].path
    assert lost in done.err
    assert "are missing" in done.err
    assert chatlake("export", "raw", "--output", "raw.jsonl").code == 7, "no silent loss"
    assert chatlake("status").code == 0


def test_a_file_lost_under_an_open_catalogue(
    there: Path, lake: Lake, chatlake: CommandLine
) -> None:
    """The catalogue is current and still names it: the views are opened again without it."""
    lost = lake.state.table_files("messages")[0].path
    (Path(lake.location) / lost).unlink()
    done = chatlake("sql", "SELECT count(*) AS n FROM messages", "--format", "csv")
    assert (done.code, done.out.split()) == (0, ["n", "4"])
    assert lost in done.err
    done = chatlake("ask", "volume", "--format", "csv")
    assert done.code in (0, 2)
    assert chatlake("report", "--output", "report.html").code == 0
