"""Merging part files: the same rows in their order, in full row groups, out of unaltered files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chatlake.errors import LakeDamagedError
from chatlake.lake.files import parts
from chatlake.lake.files.arrow import to_table
from chatlake.lake.files.merging import full_groups, merge
from chatlake.lake.files.parts import open_part, read_columns, write_part
from chatlake.lake.files.schema import SCHEMAS
from chatlake.model.compaction import Merge
from chatlake.model.manifest import PartFile
from chatlake.storage.folder import LocalStorage
from chatlake.storage.memory import MemoryStorage
from tests import lake_rows as rows
from tests.lake_rows import write


def groups_of(storage: MemoryStorage, file: PartFile) -> list[int]:
    """Return the number of rows in each row group."""
    with open_part(storage, file.path) as part:
        metadata = part.metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def test_a_merged_file_is_listed_as_it_is() -> None:
    """Rows, size, SHA-256 and range of time are the new file's own; its schema is the table's."""
    storage = MemoryStorage()
    files = [
        write(storage, "completions", [rows.completion(key, rows.NOON + i)])
        for i, key in enumerate("cab")
    ]
    merged = merge(storage, Merge(tuple(files)))
    data = storage.read(merged.path)
    assert (merged.rows, merged.bytes) == (3, len(data))
    assert merged.sha256 == hashlib.sha256(data).hexdigest()
    assert merged.min_created_at == files[0].min_created_at
    assert merged.max_created_at == files[2].max_created_at
    assert read_columns(storage, merged, "completion_id") == [["c", "a", "b"]]
    schema = pq.read_schema(pa.BufferReader(data))
    assert schema.equals(pq.read_schema(pa.BufferReader(storage.read(files[0].path))))


def test_row_groups_of_small_files_become_full_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny row groups are joined and cut at the limit, across the files."""
    monkeypatch.setattr(parts, "MAX_GROUP_ROWS", 4)
    storage = MemoryStorage()
    files = [
        write(storage, "messages", [rows.message(f"k{number}", i) for i in range(number)])
        for number in (1, 3, 2, 5)
    ]
    merged = merge(storage, Merge(tuple(files)))
    assert groups_of(storage, merged) == [4, 4, 3]


def test_row_groups_of_images_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit in bytes holds too, and each group but the last is more than half full."""
    monkeypatch.setattr(parts, "MAX_IMAGE_GROUP_BYTES", 1000)
    storage = MemoryStorage()
    files = [write(storage, "images", [rows.image(bytes([i]) * 200)]) for i in range(9)]
    merged = merge(storage, Merge(tuple(files)))
    groups = groups_of(storage, merged)
    assert sum(groups) == 9
    assert all(2 <= number <= 3 for number in groups[:-1])


def test_memory_holds_a_few_row_groups_whatever_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is merged is read as it is written, not before."""
    monkeypatch.setattr(parts, "MAX_GROUP_ROWS", 10)
    table = to_table("images", rows.columns("images", [rows.image(bytes([i])) for i in range(5)]))
    held = most = 0

    def read() -> Iterator[pa.Table]:
        nonlocal held, most
        for _ in range(100):
            held += table.num_rows
            most = max(most, held)
            yield table

    for group in full_groups("images", read()):
        held -= group.num_rows
    assert (held, most) == (0, 15)


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_damaged_file_is_never_merged(tmp_path: Path, damage: str) -> None:
    """One that has other bytes than committed, or is not there, is named; nothing is written."""
    storage = LocalStorage(tmp_path)
    files = [write(storage, "completions", [rows.completion(key)]) for key in "abc"]
    place = tmp_path / files[1].path
    if damage == "missing":
        place.unlink()
    else:
        data = bytearray(place.read_bytes())
        data[len(data) // 2] ^= 1
        place.write_bytes(data)
    before = [file.path for file in storage.list()]
    with pytest.raises(LakeDamagedError, match=files[1].path):
        merge(storage, Merge(tuple(files)))
    assert [file.path for file in storage.list()] == before


def test_a_file_with_other_columns_is_never_merged() -> None:
    """A column that this version does not know would be lost: the file is named."""
    storage = MemoryStorage()
    table = to_table("messages", rows.columns("messages", [rows.message("a", 0)]))
    odd = write_part(storage, "messages", rows.DAY, [table.append_column("later", pa.array(["x"]))])
    assert odd is not None
    files = write(storage, "messages", [rows.message("b", 0)]), odd
    with pytest.raises(LakeDamagedError, match="other columns"):
        merge(storage, Merge(files))


def test_files_are_read_with_the_schema_of_their_table() -> None:
    """Every table's own files pass the check of their columns."""
    storage = MemoryStorage()
    for table, schema in SCHEMAS.items():
        file = write(storage, table, [dict.fromkeys(schema.names)])
        assert merge(storage, Merge((file, file))).rows == 2
