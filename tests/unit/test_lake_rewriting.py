"""Rewritten part files: other rows stay as they were, and altered bytes get no valid hash."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chatlake.errors import LakeDamagedError
from chatlake.lake.files import parts, rewriting
from chatlake.lake.files.parts import read_columns
from chatlake.model.manifest import format_time
from chatlake.storage.folder import LocalStorage
from chatlake.storage.memory import MemoryStorage
from tests import lake_rows as rows
from tests.lake_rows import write


def test_rows_without_completions_keep_the_rest_and_honest_figures() -> None:
    """A rewrite drops only the unwanted rows, keeps the schema, and computes its range again."""
    storage = MemoryStorage()
    found = [rows.completion(key, rows.NOON + i) for i, key in enumerate("abc")]
    file = write(storage, "completions", found)
    (rest,), removed = rewriting.without(storage, [file], "completion_id", {"c"})
    assert removed == [file.path]
    assert read_columns(storage, rest, "completion_id") == [["a", "b"]]
    assert rest.path != file.path
    assert rest.max_created_at == format_time(datetime(2026, 1, 2, 12, 0, 1, tzinfo=UTC))
    assert rest.sha256 == hashlib.sha256(storage.read(rest.path)).hexdigest()
    schemas = [pq.read_schema(pa.BufferReader(storage.read(f.path))) for f in (file, rest)]
    assert schemas[0].equals(schemas[1], check_metadata=True)


def test_a_rewrite_that_leaves_nothing_writes_nothing() -> None:
    """When every row goes there is no new file."""
    storage = MemoryStorage()
    file = write(storage, "completions", [rows.completion("a")])
    assert rewriting.without(storage, [file], "completion_id", {"a"}) == ([], [file.path])
    assert [found.path for found in storage.list()] == [file.path]


def test_a_rewrite_goes_by_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of several row groups keeps them, and loses rows from the right one."""
    monkeypatch.setattr(parts, "MAX_GROUP_ROWS", 2)
    storage = MemoryStorage()
    file = write(storage, "completions", [rows.completion(key) for key in "abcde"])
    (rest,), _ = rewriting.without(storage, [file], "completion_id", {"a", "b", "d"})
    assert read_columns(storage, rest, "completion_id") == [["c", "e"]]
    assert rest.rows == 2


def test_an_altered_file_does_not_get_a_right_hash(tmp_path: Path) -> None:
    """Rows of a file whose bytes changed are not written to a new file: the changed one is named."""
    storage = LocalStorage(tmp_path)
    file = write(storage, "completions", [rows.completion("a"), rows.completion("b")])
    data = bytearray((tmp_path / file.path).read_bytes())
    data[-9] ^= 1  # in the footer, which no page checksum covers
    (tmp_path / file.path).write_bytes(data)
    with pytest.raises(LakeDamagedError, match=rf"{file.path}.+(altered|cannot be read)"):
        rewriting.without(storage, [file], "completion_id", {"a"})
    assert [found.path for found in storage.list()] == [file.path]


def test_a_flipped_bit_is_no_other_value(tmp_path: Path) -> None:
    """Wherever a bit is flipped, what the backup reads is right, or an error names the file."""
    storage = LocalStorage(tmp_path)
    file = write(storage, "completions", [rows.completion(f"chatcmpl-{n}") for n in range(50)])
    columns = "completion_id", "digest", "first_seen_at", "deleted_at"
    right = read_columns(storage, file, *columns)
    path = tmp_path / file.path
    whole = path.read_bytes()
    errors = 0
    for place in range(0, len(whole), 11):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
        )
        try:
            assert read_columns(storage, file, *columns) == right, place
        except LakeDamagedError as error:
            assert file.path in error.message  # noqa: PT017 - most places give one, not all
            errors += 1
    assert errors > 100


def test_a_deletion_is_never_dated_before_what_was_seen(tmp_path: Path) -> None:
    """With a clock that was put back `deleted_at` is just after the last sight."""
    storage = LocalStorage(tmp_path)
    file = write(storage, "completions", [rows.completion("a"), rows.completion("b")])
    (marked,), removed = rewriting.marked_deleted(storage, [file], {"b"}, 0)
    assert removed == [file.path]
    seen = round(rows.SEEN.timestamp()) * rows.MICRO
    assert read_columns(storage, marked, "completion_id", "deleted_at") == [
        ["a", "b"],
        [None, seen + 1],
    ]
