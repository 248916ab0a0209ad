"""The lake as the backup uses it: what is committed is found again, and only that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatlake import __version__
from chatlake.backup.lake_port import LakeStore, StoredVersion
from chatlake.errors import (
    CommitConflictError,
    ConfigurationError,
    LakeDamagedError,
    LakeError,
    LakeLockedError,
    LakeNotFoundError,
)
from chatlake.lake import Lake
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest, SourceRun
from chatlake.model.partitions import Partition
from chatlake.storage.memory import MemoryStorage
from chatlake.storage.opening import storage_at
from tests import lake_rows as rows

SEEN = round(rows.SEEN.timestamp()) * rows.MICRO
TABLES = ("completions", "messages", "content_parts", "history")


@pytest.fixture(params=["memory", "s3", "gs", "az"])
def lake(request: pytest.FixtureRequest) -> Lake:
    """An empty lake in memory, and in each cloud's stand-in."""
    if request.param == "memory":
        return Lake(MemoryStorage())
    return Lake(storage_at(request.getfixturevalue(f"{request.param}_lake")))


def store(lake: Lake, *keys: str, created: int = rows.NOON) -> Manifest:
    """Commit completions and one message each; return the manifest."""
    day = Partition.of("openai", created)
    found = {
        ("completions", day): rows.columns(
            "completions", [rows.completion(k, created) for k in keys]
        ),
        ("messages", day): rows.columns("messages", [rows.message(k, 0, created) for k in keys]),
    }
    manifest = Manifest(added=lake.write_parts(found))
    lake.commit(manifest)
    return manifest


def test_the_lake_is_what_the_backup_asks_for(lake: Lake) -> None:
    """Lake has every method of LakeStore (the type checker compares their signatures)."""
    needed: LakeStore = lake
    assert needed.state.number == 0


def test_stored_versions_are_the_committed_ones(lake: Lake) -> None:
    """Digest and first sight of each completion of the partition, of all its files."""
    store(lake, "a")
    day = {
        ("completions", rows.DAY): rows.columns("completions", [rows.completion("b", digest=None)])
    }
    lake.commit(Manifest(added=lake.write_parts(day)))
    lake.write_parts(
        {("completions", rows.DAY): rows.columns("completions", [rows.completion("c")])}
    )
    assert lake.stored_versions(rows.DAY) == {
        "a": StoredVersion(rows.completion("a")["digest"], SEEN, SEEN, inputs=2, images=0),
        "b": StoredVersion(None, SEEN, SEEN, inputs=2, images=0),
    }
    assert lake.stored_versions(Partition("openai", "2026-01-03")) == {}


def test_stored_images_are_those_of_the_partition(lake: Lake) -> None:
    """The SHA-256 of every image of that day, of no other day."""
    x, y = rows.image(b"x"), rows.image(b"y")
    other = Partition("openai", "2026-01-03")
    found = {
        ("images", rows.DAY): rows.columns("images", [x]),
        ("images", other): rows.columns("images", [y]),
    }
    lake.commit(Manifest(added=lake.write_parts(found)))
    assert lake.stored_images(rows.DAY) == {x["sha256"]}


def test_resume_points_go_back_from_the_newest(lake: Lake) -> None:
    """One for each second, newest first, only before the limit, over partitions, not deleted."""
    day = timedelta(days=1) // timedelta(seconds=1)
    store(lake, "old", created=rows.NOON - day)
    store(lake, "same-1", "same-2")
    store(lake, "limit", created=rows.NOON + 5)
    gone = {
        ("completions", rows.DAY): rows.columns(
            "completions", [rows.completion("gone", rows.NOON + 1, deleted_at=rows.SEEN)]
        )
    }
    lake.commit(Manifest(added=lake.write_parts(gone)))
    points = list(lake.resume_points("openai", before=rows.NOON + 5))
    assert [created for _, created in points] == [rows.NOON, rows.NOON - day]
    assert points[0][0] in {"same-1", "same-2"}
    assert points[1][0] == "old"
    assert list(lake.resume_points("azure", before=rows.NOON)) == []


def test_resume_points_read_lazily(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first point opens files of the newest partition only."""
    store(lake, "old", created=rows.NOON - 86_400)
    newest = store(lake, "new")
    opened: list[str] = []

    def watched(read: Callable[[str], Any]) -> Callable[[str], Any]:
        def reading(path: str) -> Any:
            opened.append(path)
            return read(path)

        return reading

    for name in ("open_input", "read"):  # a small file of a bucket is read whole
        monkeypatch.setattr(lake.storage, name, watched(getattr(lake.storage, name)))
    assert next(lake.resume_points("openai", before=rows.NOON + 1)) == ("new", rows.NOON)
    assert opened == [newest.added[0].path]


def test_empty_columns_write_no_file(lake: Lake) -> None:
    """A table without rows gives no part."""
    assert lake.write_parts({("messages", rows.DAY): rows.columns("messages", [])}) == []


def test_without_completions_rewrites_only_files_that_hold_them(lake: Lake) -> None:
    """Files with such rows are replaced, one left empty is only removed, others are not touched."""
    first = store(lake, "a", "b")
    second = store(lake, "c")
    third = store(lake, "d")
    written, removed = lake.without_completions(rows.DAY, {"b", "c"}, TABLES)
    assert set(removed) == {file.path for file in first.added + second.added}
    assert [(file.table, file.rows) for file in written] == [("completions", 1), ("messages", 1)]
    lake.commit(Manifest(added=written, removed=removed))
    assert set(lake.stored_versions(rows.DAY)) == {"a", "d"}
    assert {file.path for file in third.added} < set(lake.state.files)
    assert lake.without_completions(rows.DAY, {"b", "c"}, TABLES) == ([], [])


def test_without_images_drops_known_ones(lake: Lake) -> None:
    """Files of images that hold a known one are rewritten without it."""
    x, y, z = (rows.image(data) for data in (b"x", b"y", b"z"))
    parts = [
        *lake.write_parts({("images", rows.DAY): rows.columns("images", [x, y])}),
        *lake.write_parts({("images", rows.DAY): rows.columns("images", [z])}),
    ]
    written, removed = lake.without_images(parts, {x["sha256"]})
    assert removed == [parts[0].path]
    lake.commit(Manifest(added=[*written, parts[1]]))
    assert lake.stored_images(rows.DAY) == {y["sha256"], z["sha256"]}


def test_a_commit_fills_in_number_time_and_version(lake: Lake) -> None:
    """The manifest that was given gets its number, its time, and chatlake's version."""
    assert store(lake, "a").number == 1
    manifest = store(lake, "b")
    assert manifest.number == 2
    assert manifest.chatlake == __version__
    age = datetime.now(UTC) - datetime.fromisoformat(manifest.created_at)
    assert timedelta() <= age < timedelta(minutes=1)


def test_a_conflict_changes_nothing(lake: Lake) -> None:
    """When another run was first, neither manifest nor state nor storage is changed."""
    other = Lake(lake.storage)
    store(lake, "a")
    parts = other.write_parts(
        {("completions", rows.DAY): rows.columns("completions", [rows.completion("b")])}
    )
    before = [file.path for file in lake.storage.list()]
    manifest = Manifest(added=parts)
    with pytest.raises(CommitConflictError):
        other.commit(manifest)
    assert manifest == Manifest(added=parts)
    assert other.state.number == 0
    assert [file.path for file in lake.storage.list()] == before
    assert other.refresh() is True
    other.commit(manifest)
    assert set(other.stored_versions(rows.DAY)) == {"a", "b"}


def test_figures_changed_after_a_commit_are_not_in_it(lake: Lake) -> None:
    """The state holds a run's figures as they were when committed."""
    run = SourceRun(
        run_id="r",
        source="openai",
        status="running",
        mode="full",
        started_at="2026-01-02T03:04:05Z",
    )
    lake.commit(Manifest(runs=[run]))
    run.listed = 99
    assert lake.state.runs["r", "openai"].listed == 0


def test_every_32nd_commit_brings_a_checkpoint(lake: Lake) -> None:
    """Checkpoints lie beside the commits, and a lake opened from one is the same."""
    for number in range(CHECKPOINT_EVERY + 1):
        store(lake, f"c{number}")
    checkpoints = [f.path for f in lake.storage.list("manifests") if "checkpoint" in f.path]
    assert checkpoints == ["manifests/checkpoint-000000000032.json"]
    assert Lake(lake.storage).state.files == lake.state.files


def test_leftovers_are_what_no_manifest_lists(lake: Lake) -> None:
    """Parts never committed, parts removed and temporary files are left over; nothing else is."""
    kept = store(lake, "a")
    old = store(lake, "b")
    written, removed = lake.without_completions(rows.DAY, {"b"}, TABLES)
    lake.commit(Manifest(added=written, removed=removed))
    orphan = lake.write_parts(
        {("completions", rows.DAY): rows.columns("completions", [rows.completion("x")])}
    )
    lake.storage.replace("manifests/_1.tmp", b"")
    found = {file.path for file in lake.leftovers()}
    assert found == {*(f.path for f in old.added), orphan[0].path, "manifests/_1.tmp"}
    assert not found & {file.path for file in kept.added}


def test_the_lock_brings_the_newest_state(tmp_path: Path) -> None:
    """A run that waited for its turn sees what was committed since it opened the lake."""
    early = Lake.open(tmp_path / "lake", create=True)
    late = Lake.open(tmp_path / "lake")
    with early.lock("first"):
        store(early, "a")
        with pytest.raises(LakeLockedError, match="run first"), late.lock("second"):
            pass
    with late.lock("second"):
        assert set(late.stored_versions(rows.DAY)) == {"a"}


def test_no_lake_is_said_so(tmp_path: Path) -> None:
    """Opening what is not there names the place and leaves nothing behind."""
    with pytest.raises(LakeNotFoundError, match=str(tmp_path / "none")):
        Lake.open(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_opening_with_create_keeps_what_is_there(tmp_path: Path) -> None:
    """`create` makes a lake once; the second time it opens it."""
    store(Lake.open(tmp_path / "lake", create=True), "a")
    assert Lake.open(tmp_path / "lake", create=True).state.number == 1


@pytest.mark.parametrize(
    ("location", "library", "extra"),
    [("s3://b/l", "s3fs", "s3"), ("gs://b/l", "gcsfs", "gcs"), ("az://c/l", "adlfs", "azure")],
)
def test_a_missing_library_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, location: str, library: str, extra: str
) -> None:
    """Without the cloud's library one line says what to install, with exit code 4."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"chatlake.storage.bucket.{extra}", raising=False)
    scheme = location.partition(":")[0]
    with pytest.raises(ConfigurationError) as caught:
        Lake.open(location, create=True)
    needed = f"chatlake[{extra}]"
    assert caught.value.message == f'lakes on {scheme}:// need {needed}: pip install "{needed}"'
    assert caught.value.exit_code == 4


def test_another_kind_of_place_is_refused() -> None:
    """A URL of a kind that is not known makes no folder called ftp:."""
    with pytest.raises(ConfigurationError, match="lakes cannot be on ftp://"):
        Lake.open("ftp://host/lake", create=True)


@pytest.mark.parametrize("folder", ["source=prod", "created_date=2026-01-01"])
def test_a_place_that_reads_like_a_partition_is_refused(tmp_path: Path, folder: str) -> None:
    """DuckDB would take such a folder's value for the column's: no lake may lie below one."""
    with pytest.raises(LakeError, match="partition"):
        Lake.open(tmp_path / folder / "lake", create=True)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    """Reading versions where a listed file is gone names that file."""
    lake = Lake.open(tmp_path / "lake", create=True)
    file = store(lake, "a").added[0]
    (tmp_path / "lake" / file.path).unlink()
    with pytest.raises(LakeDamagedError, match=f"{file.path} is missing"):
        lake.stored_versions(rows.DAY)
