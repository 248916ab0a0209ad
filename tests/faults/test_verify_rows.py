"""Rows that contradict each other, in files that are as they were written."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from chatlake.lake import Lake
from chatlake.lake.files import arrow, parts
from chatlake.model.manifest import Manifest, PartFile
from chatlake.model.partitions import Partition
from chatlake.storage.interface import Storage
from chatlake.storage.memory import MemoryStorage
from tests import lake_rows as rows
from tests.faults.verify_lakes import check_storage, commit, only, paths

pytestmark = pytest.mark.slow

PICTURE = b"\x89PNG one"
OTHER_PICTURE = b"\x89PNG two"
SHA256 = hashlib.sha256(PICTURE).hexdigest()
OTHER_SHA256 = hashlib.sha256(OTHER_PICTURE).hexdigest()


@pytest.fixture
def lake() -> Lake:
    """Hold one completion with two messages, a text, an image and an older version, all sound."""
    lake = Lake(MemoryStorage())
    commit(lake, sound("a"))
    assert check_storage(lake.storage).findings == []
    return lake


def sound(key: str, sha256: str | None = SHA256, **more: Any) -> dict[str, list[dict[str, Any]]]:
    """Return rows of one completion that agree with each other."""
    parts = [rows.part(key, 0), rows.part(key, 1, type="image_url", image_sha256=sha256)]
    found: dict[str, list[dict[str, Any]]] = {
        "completions": [rows.completion(key, image_count=1, **more)],
        "messages": [rows.message(key, 0, parts=parts), rows.message(key, 1)],
        "content_parts": parts,
        "history": [{"completion_id": key, "change": "created", "created_at": rows.NOON * 10**6}],
    }
    if sha256 == SHA256 and key == "a":
        found["images"] = [rows.image(PICTURE)]
    return found


def path_of(files: list[PartFile], table: str) -> str:
    """Return the path of the table's file."""
    return next(file.path for file in files if file.table == table)


@pytest.mark.parametrize("table", ["completions", "messages", "content_parts", "images"])
def test_a_row_that_is_stored_twice(lake: Lake, table: str) -> None:
    """A copy of a file: the later one is named, and the one that holds the same rows."""
    original = lake.state.table_files(table)[0]
    path = f"{table}/{original.partition.folder}/part-copy.parquet"
    lake.storage.replace(path, lake.storage.read(original.path))
    fields = {name: getattr(original, name) for name in original.__struct_fields__}
    lake.commit(Manifest(added=[PartFile(**{**fields, "path": path})]))

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (path, "duplicate")
    assert original.path in finding.problem


def test_a_row_twice_in_one_file(lake: Lake) -> None:
    """The file is named, with one of the keys."""
    files = commit(lake, {"images": [rows.image(OTHER_PICTURE), rows.image(OTHER_PICTURE)]})

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (files[0].path, "duplicate")
    assert OTHER_SHA256 in finding.problem


def test_the_same_key_in_two_partitions_or_sources_is_no_duplicate(lake: Lake) -> None:
    """Images are stored once a day and source, and two sources may use the same ids."""
    other = Partition("azure", rows.DAY.created_date)
    found = {(t, other): rows.columns(t, some) for t, some in sound("a").items()}
    lake.commit(Manifest(added=lake.write_parts(found)))

    assert check_storage(lake.storage).findings == []


@pytest.mark.parametrize(
    ("completion", "message"),
    [({"message_count": 3}, {}), ({"image_count": 2}, {}), ({}, {"part_count": 1})],
)
def test_a_count_that_another_table_contradicts(
    completion: dict[str, int], message: dict[str, int]
) -> None:
    """message_count, image_count and part_count are the numbers of the rows that are stored."""
    lake = Lake(MemoryStorage())
    found = sound("a")
    found["completions"][0].update(completion)
    found["messages"][0].update(message)
    files = commit(lake, found)

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (
        path_of(files, "completions" if completion else "messages"),
        "count",
    )
    assert "a" in finding.problem


def test_counts_that_are_not_known_are_not_compared(lake: Lake) -> None:
    """A completion whose messages could not be fetched has none, and its counts are NULL."""
    commit(lake, {"completions": [rows.completion("b", message_count=None, image_count=None)]})

    assert check_storage(lake.storage).findings == []


def test_an_incomplete_completion_is_a_note(lake: Lake) -> None:
    """Without a digest, messages or images are known to be missing: that is not reported."""
    found = sound("b", OTHER_SHA256, digest=None)
    found["messages"][0]["part_count"] = 9
    commit(lake, {**found, "messages": found["messages"][:1]})
    parts_only = sound("c", OTHER_SHA256, digest=None)
    commit(lake, {**parts_only, "messages": []})

    report = check_storage(lake.storage)

    assert report.findings == []
    assert report.notes[0].startswith("2 completions lack their messages")


@pytest.mark.parametrize("table", ["messages", "content_parts", "history"])
def test_rows_without_their_completion(lake: Lake, table: str) -> None:
    """What belongs to a completion that is not stored is named."""
    files = commit(lake, {table: sound("b")[table][:1]})

    report = check_storage(lake.storage)

    assert paths(report) == {files[0].path}
    assert {"orphan"} <= {finding.kind for finding in report.findings} <= {"orphan", "count"}


def test_a_part_without_its_message(lake: Lake) -> None:
    """A content part whose message is not stored is named."""
    files = commit(lake, {"content_parts": [rows.part("a", 0, message_id="a-9")]})

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (files[0].path, "orphan")
    assert "a-9" in finding.problem


def test_a_missing_image(lake: Lake) -> None:
    """A run that stored an image has stored all: a reference to none is damage."""
    files = commit(lake, sound("b", OTHER_SHA256))

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (path_of(files, "content_parts"), "image")
    assert OTHER_SHA256 in finding.problem


def test_a_missing_image_of_another_day(lake: Lake) -> None:
    """The day's own images count, not those of the day before."""
    next_day = Partition("openai", "2026-01-03")
    found = sound("b", created=rows.NOON + 86_400)
    for some in found.values():
        for row in some:
            row["created_at"] = (rows.NOON + 86_400) * rows.MICRO
    columns = {(t, next_day): rows.columns(t, some) for t, some in found.items()}
    files = lake.write_parts(columns)
    lake.commit(Manifest(added=files))

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (path_of(files, "content_parts"), "image")


def test_images_kept_as_references_are_a_note(lake: Lake) -> None:
    """A run that stored no image kept references only; other runs of the source stored theirs."""
    commit(lake, sound("b", OTHER_SHA256, run_id="run-2"))

    report = check_storage(lake.storage)

    assert report.findings == []
    assert report.notes[0].startswith("openai: 1 image part has no stored image")


@pytest.mark.parametrize("change", [{"data": OTHER_PICTURE}, {"data": None}, {"byte_size": 1}])
def test_an_image_with_other_bytes_than_its_sha256(change: dict[str, Any]) -> None:
    """Every stored image is hashed again."""
    lake = Lake(MemoryStorage())
    found = sound("a")
    found["images"][0].update(change)
    files = commit(lake, found)

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (path_of(files, "images"), "image")
    assert SHA256 in finding.problem


def test_a_row_of_another_day(lake: Lake) -> None:
    """A completion in another day's partition is out of range."""
    files = commit(lake, {"completions": [rows.completion("b", rows.NOON + 86_400)]})

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (files[0].path, "range")


def test_a_file_in_another_partition_s_folder(lake: Lake) -> None:
    """The path must say the partition that the manifest says."""
    original = lake.state.table_files("images")[0]
    path = original.path.replace("2026-01-02", "2026-01-03")
    lake.storage.replace(path, lake.storage.read(original.path))
    fields = {name: getattr(original, name) for name in original.__struct_fields__}
    added = [PartFile(**{**fields, "path": path})]
    lake.commit(Manifest(added=added, removed=[original.path]))

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (path, "misplaced")


@pytest.mark.parametrize("change", ["drop", "retype", "reorder", "add"])
def test_other_columns_than_the_table_s(lake: Lake, change: str) -> None:
    """Names, types and order must be the table's, or the views would not bind."""
    table = arrow.to_table("missed", rows.columns("missed", [{"completion_id": "a"}]))
    if change == "drop":
        table = table.drop_columns(["run_id"])
    elif change == "retype":
        table = table.set_column(2, "run_id", pa.array([1], pa.int64()))
    elif change == "reorder":
        table = table.select(["completion_id", "run_id", "missed_at"])
    else:
        table = table.append_column("more", pa.array(["x"]))
    file = write(lake.storage, "missed", table)
    lake.commit(Manifest(added=[file]))

    finding = only(check_storage(lake.storage))

    assert (finding.path, finding.kind) == (file.path, "schema")


def write(storage: Storage, table: str, batch: pa.Table) -> PartFile:
    """Write one part file with these columns."""
    file = parts.write_part(storage, table, rows.DAY, [batch])
    assert file is not None
    return file


def test_a_table_of_a_later_version_is_hashed_only(lake: Lake) -> None:
    """Unknown tables may appear within a format: their bytes are checked, no more."""
    data = b"anything"
    path = f"novelties/{rows.DAY.folder}/part-1.parquet"
    lake.storage.replace(path, data)
    original = lake.state.table_files("images")[0]
    fields = {name: getattr(original, name) for name in original.__struct_fields__}
    sha256 = hashlib.sha256(data).hexdigest()
    known = {"table": "novelties", "path": path, "bytes": len(data), "sha256": sha256}
    lake.commit(Manifest(added=[PartFile(**{**fields, **known})]))
    assert check_storage(lake.storage).findings == []

    lake.storage.replace(path, b"anythinG")
    assert only(check_storage(lake.storage)).path == path
