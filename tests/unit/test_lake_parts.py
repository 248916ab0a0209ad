"""Part files: written is read back, the figures are true, the layout is the promised one."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chatlake import failpoints
from chatlake.errors import LakeDamagedError, LakeUnwritableError
from chatlake.lake.files import arrow, parts
from chatlake.lake.files.arrow import to_table
from chatlake.lake.files.merging import merge
from chatlake.lake.files.parts import empty_file, open_part, read_columns, row_groups
from chatlake.lake.files.schema import SCHEMAS
from chatlake.model.compaction import Merge
from chatlake.model.manifest import format_time
from chatlake.storage.folder import LocalStorage
from chatlake.storage.memory import MemoryStorage
from tests import lake_rows as rows
from tests.lake_rows import write


def test_the_figures_of_a_part_are_those_of_its_file() -> None:
    """Path, rows, size, SHA-256 and range of creation describe the file that was written."""
    storage = MemoryStorage()
    file = write(
        storage, "completions", [rows.completion("a"), rows.completion("b", rows.NOON + 9)]
    )
    data = storage.read(file.path)
    assert file.path.startswith("completions/source=openai/created_date=2026-01-02/part-")
    assert (file.rows, file.bytes) == (2, len(data))
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert file.min_created_at == "2026-01-02T12:00:00.000000Z"
    assert file.max_created_at == "2026-01-02T12:00:09.000000Z"


def test_a_part_without_times_has_the_range_of_its_day() -> None:
    """Images know no creation: their range is the whole UTC day of the partition."""
    file = write(MemoryStorage(), "images", [rows.image(b"x")])
    assert file.min_created_at == "2026-01-02T00:00:00.000000Z"
    assert file.max_created_at == "2026-01-02T23:59:59.999999Z"


def test_every_kind_of_value_comes_back() -> None:
    """Text, numbers, times, lists, maps, JSON and bytes are read back as they were given."""
    moment = datetime(2026, 1, 2, 12, 0, 0, 123456, UTC)
    row = rows.completion(
        "a",
        deleted_at=moment,
        seed=-(2**63),
        temperature=1,
        finish_reasons=["stop", None],
        metadata=[("k", "v"), ("é", "")],
        tools='[{"type":"function"}]',
        raw=b'{"b":"bytes work too \xc3\xa9"}',
        raw_exact='{"x":"\\ud83d"}',
    )
    storage = MemoryStorage()
    file = write(storage, "completions", [row, rows.completion("b")])
    read = pq.read_table(pa.BufferReader(storage.read(file.path)))
    assert read.schema.equals(SCHEMAS["completions"], check_metadata=False)
    first, second = read.to_pylist()
    assert first["deleted_at"] == moment
    assert first["seed"] == -(2**63)
    assert first["temperature"] == 1.0
    assert first["finish_reasons"] == ["stop", None]
    assert first["metadata"] == [("k", "v"), ("é", "")]
    assert first["tools"] == '[{"type":"function"}]'
    assert first["raw"] == '{"b":"bytes work too é"}'
    assert first["raw_exact"] == '{"x":"\\ud83d"}'
    assert first["digest"] == row["digest"]
    assert second["metadata"] is None
    assert second["seed"] is None


def test_times_may_be_microseconds_or_datetimes() -> None:
    """Both ways to give a time store the same instant, to the microsecond."""
    moment = datetime(2026, 1, 2, 12, 0, 0, 1, UTC)
    micros = rows.NOON * rows.MICRO + 1
    storage = MemoryStorage()
    file = write(
        storage, "completions", [rows.completion("a", created_at=micros, first_seen_at=moment)]
    )
    assert read_columns(storage, file, "created_at", "first_seen_at") == [[micros], [micros]]
    assert file.min_created_at == format_time(moment)


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_file_says_its_format_and_has_its_types(table: str) -> None:
    """The footer holds format, version and table; the types are the table's."""
    storage = MemoryStorage()
    file = write(storage, table, [dict.fromkeys(SCHEMAS[table].names)])
    with open_part(storage, file.path) as part:
        metadata = part.metadata.metadata or {}
        schema = part.schema_arrow
    assert metadata[b"chatlake.format"] == b"1"
    assert metadata[b"chatlake.table"] == table.encode()
    assert b"chatlake.version" in metadata
    assert schema.equals(SCHEMAS[table])


def test_the_empty_file_describes_the_columns() -> None:
    """Each column of it has its description; the part files do not repeat them."""
    described = pq.read_schema(pa.BufferReader(empty_file("messages")))
    storage = MemoryStorage()
    file = write(storage, "messages", [rows.message("a", 0)])
    plain = pq.read_schema(pa.BufferReader(storage.read(file.path)))
    assert all((field.metadata or {})[b"description"] for field in described)
    assert not any(b"description" in (field.metadata or {}) for field in plain)


def test_only_columns_that_are_compared_have_statistics() -> None:
    """The least and the greatest text would be kilobytes in the footer; ids and times have them."""
    storage = MemoryStorage()
    long = "x" * 4_000
    file = write(storage, "messages", [rows.message("a", 0, text=long, content=long, raw=long)])
    with open_part(storage, file.path) as part:
        group = part.metadata.row_group(0)
        columns = [group.column(place) for place in range(group.num_columns)]
        footer_bytes = part.metadata.serialized_size
    without = {each.path_in_schema for each in columns if not each.is_stats_set}
    assert {"raw", "text", "content"} <= without
    assert not without & {"completion_id", "message_id", "created_at", "role", "model"}
    assert footer_bytes < 8_000


def test_a_file_with_descriptions_is_merged_with_one_without() -> None:
    """Earlier versions wrote them: such files are read, merged and keep their rows."""
    storage = MemoryStorage()
    table = to_table("messages", rows.columns("messages", [rows.message("a", 0)]))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    data = buffer.getvalue()
    new = write(storage, "messages", [rows.message("b", 0)])
    path = new.path.replace("part-", "part-0")
    with storage.open_output(path) as file:
        file.write(data)
    digest = hashlib.sha256(data).hexdigest()
    old = msgspec.structs.replace(new, path=path, bytes=len(data), sha256=digest)
    merged = merge(storage, Merge((old, new)))
    assert read_columns(storage, merged, "completion_id") == [["a", "b"]]


def test_parts_are_zstd_with_bloom_filters_on_ids(tmp_path: Path) -> None:
    """Every column is zstd; exactly the id columns have a bloom filter, and it excludes a miss."""
    storage = LocalStorage(tmp_path)
    found = [rows.message(f"c{i:03}", 0, message_id=f"m{i * 2:04}") for i in range(500)]
    path = storage.local_path(write(storage, "messages", found).path)
    with duckdb.connect() as connection:
        layout = connection.execute(
            "SELECT path_in_schema, compression, bloom_filter_offset IS NOT NULL "
            "FROM parquet_metadata(?)",
            [path],
        ).fetchall()
        probe = connection.execute(
            "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, 'message_id', ?)",
            [path, "m0001"],
        ).fetchall()
    assert {compression for _, compression, _ in layout} == {"ZSTD"}
    assert {name for name, _, bloom in layout if bloom} == {"completion_id", "message_id"}
    assert probe == [(True,)]


def test_row_groups_are_bounded_in_rows() -> None:
    """50,000 rows fill one group, one more begins the next."""
    table = to_table("images", rows.columns("images", [{"sha256": "x"}] * 50_001))
    assert [group.num_rows for group in row_groups("completions", table)] == [50_000, 1]


def test_row_groups_are_bounded_in_bytes() -> None:
    """Groups of images stay at 16 MiB; one larger image stands alone; no row is lost."""
    sizes = [1, 20, 7, 7, 7, 1]
    found = [{"sha256": str(i), "data": bytes(size << 20)} for i, size in enumerate(sizes)]
    table = to_table("images", rows.columns("images", found))
    groups = list(row_groups("images", table))
    assert [key for group in groups for key in group["sha256"].to_pylist()] == list("012345")
    assert all(group.num_rows == 1 or group.nbytes <= 16 << 20 for group in groups)
    assert len(groups) <= 5


def test_images_are_written_a_row_group_at_a_time() -> None:
    """Of large images only some are copied at once, and all of them come out in their order."""
    images = [rows.image(bytes([n]) * (4_000_000)) for n in range(5)]
    columns = rows.columns("images", images)
    tables = list(arrow.to_tables("images", columns))
    assert [table.num_rows for table in tables] == [2, 2, 1]
    assert max(table.nbytes for table in tables) < 9 << 20
    assert pa.concat_tables(tables).equals(to_table("images", columns))
    messages = rows.columns("messages", [rows.message("a", n) for n in range(3)])
    assert [table.num_rows for table in arrow.to_tables("messages", messages)] == [3]


def test_a_full_disk_while_writing_leaves_nothing(tmp_path: Path) -> None:
    """When the disk is full the error names the path, and no file is left."""
    storage = LocalStorage(tmp_path)
    full = OSError(28, "No space left on device")
    with (
        failpoints.active("part.written", full),
        pytest.raises(LakeUnwritableError, match="No space"),
    ):
        write(storage, "completions", [rows.completion("a")])
    assert list(storage.list()) == []


def test_a_full_device_is_the_lake_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the operating system inside Arrow's writer comes out as LakeUnwritableError."""
    storage = LocalStorage(tmp_path)
    full = Path("/dev/full")
    monkeypatch.setattr(storage, "_open_new", lambda _: full.open("wb", buffering=0))
    with pytest.raises(LakeUnwritableError, match="No space"):
        write(storage, "completions", [rows.completion("a")])


@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage", "empty"])
def test_a_part_that_cannot_be_read_is_named(tmp_path: Path, damage: str) -> None:
    """Reading a missing, truncated or overwritten part names the file."""
    storage = LocalStorage(tmp_path)
    file = write(storage, "completions", [rows.completion("a")])
    path = tmp_path / file.path
    if damage == "missing":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(
            {"truncated": data[:-20], "garbage": b"x" * len(data), "empty": b""}[damage]
        )
    with pytest.raises(LakeDamagedError, match=path.name):
        read_columns(storage, file, "completion_id")


def test_day_range_is_the_utc_day() -> None:
    """A partition's day begins at midnight UTC and ends one microsecond before the next."""
    low, high = parts.day_range(rows.DAY)
    assert low == datetime(2026, 1, 2, tzinfo=UTC)
    assert high + timedelta(microseconds=1) == datetime(2026, 1, 3, tzinfo=UTC)
