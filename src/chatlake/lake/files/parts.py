"""Part files: Parquet files, written once; size and SHA-256 are known when a file is durable.

zstd level 3; row groups of at most 50,000 rows and about 64 MiB of data (16 MiB of images); bloom
filters on the ids, so that a look-up of one id skips nearly every row group. A day is often a small
file, so the size of the footer matters: it has no descriptions of columns, and no least and
greatest value of long texts, which no query compares.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import chain
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pytz import UnknownTimeZoneError

from chatlake import __version__
from chatlake.errors import LakeDamagedError
from chatlake.lake.files.arrow import to_values
from chatlake.lake.files.replaced import open_listed
from chatlake.lake.files.schema import FEW_VALUED_COLUMNS, ID_COLUMNS, LONG_COLUMNS, SCHEMAS
from chatlake.model.counts import count
from chatlake.model.manifest import FORMAT, PartFile, format_time
from chatlake.model.partitions import Partition
from chatlake.model.tables import IMAGES
from chatlake.storage.file_errors import too_many_open
from chatlake.storage.interface import Storage

MAX_GROUP_ROWS: Final = 50_000
MAX_GROUP_BYTES: Final = 64 << 20
MAX_IMAGE_GROUP_BYTES: Final = 16 << 20
BLOOM_FALSE_POSITIVES: Final = 0.01
# A damaged footer may contain a column name or a time zone that is invalid.
_UNREADABLE: Final = (pa.ArrowException, EOFError, UnicodeDecodeError, UnknownTimeZoneError)


def write_part(
    storage: Storage,
    table: str,
    partition: Partition,
    batches: Iterable[pa.Table],
    *,
    expected_rows: int | None = None,
) -> PartFile | None:
    """Write one durable part file of `batches` (same schema); None, and no file, without rows.

    Each batch begins a row group. `expected_rows`: how many rows all batches have, to size the
    bloom filters; None: as many as the first batch.
    """
    batches = (batch for batch in batches if batch.num_rows)
    first = next(batches, None)
    if first is None:
        return None
    path = f"{table}/{partition.folder}/part-{uuid.uuid4()}.parquet"
    footers: list[pq.FileMetaData] = []
    with storage.open_output(path) as file:
        sink = _HashingSink(file)
        rows = expected_rows or first.num_rows
        schema = pa.schema([column.remove_metadata() for column in first.schema])
        with _open_writer(cast("BinaryIO", sink), schema, table, rows, footers) as writer:
            waiting = iter([first])
            del first
            for batch in chain(waiting, batches):
                for group in row_groups(table, batch):
                    writer.write_table(group, row_group_size=MAX_GROUP_ROWS)
                del batch, group  # before the next one is made
    (footer,) = footers
    low, high = _span(footer) or day_range(partition)
    return PartFile(
        table=table,
        path=path,
        rows=footer.num_rows,
        bytes=sink.size,
        sha256=sink.sha256.hexdigest(),
        source=partition.source,
        created_date=partition.created_date,
        min_created_at=format_time(low),
        max_created_at=format_time(high),
    )


def row_groups(table: str, rows: pa.Table) -> Iterator[pa.Table]:
    """Split rows into row groups: by count first, then in halves until each is small enough."""
    limit = MAX_IMAGE_GROUP_BYTES if table == IMAGES else MAX_GROUP_BYTES
    for start in range(0, rows.num_rows, MAX_GROUP_ROWS):
        yield from _halve(rows.slice(start, MAX_GROUP_ROWS), limit)


def day_range(partition: Partition) -> tuple[datetime, datetime]:
    """Return the first and the last microsecond of the partition's day, UTC."""
    start = datetime.combine(date.fromisoformat(partition.created_date), time(), UTC)
    return start, start + timedelta(days=1, microseconds=-1)


@cache
def empty_file(table: str) -> bytes:
    """Return a Parquet file with the table's columns and no rows.

    It alone has the description of each column.
    """
    buffer = io.BytesIO()
    with _open_writer(buffer, SCHEMAS[table], table, 0):
        pass
    return buffer.getvalue()


@contextmanager
def open_part(
    storage: Storage, path: str, copy: BinaryIO | None = None, *, size: int | None = None
) -> Iterator[pq.ParquetFile]:
    """Open a part file, or a copy of it. `size`: see `open_listed`.

    LakeDamagedError names the file if it is missing or unreadable; OpenFilesError if this process
    has too many open.
    """
    try:
        with (
            open_listed(storage, path, size) if copy is None else nullcontext(copy) as file,
            pq.ParquetFile(file, page_checksum_verification=True) as part,
        ):
            yield part
    except FileNotFoundError as error:
        raise LakeDamagedError(f"{storage.location}/{path} is missing") from error
    except (*_UNREADABLE, OSError) as error:
        if limit := too_many_open(error):
            raise limit from error
        why = str(error).splitlines()[0]
        raise LakeDamagedError(f"{storage.location}/{path} cannot be read: {why}") from error


def read_columns(storage: Storage, file: PartFile, *names: str) -> list[list[Any]]:
    """Read some columns of a part file: plain values, times as microseconds since 1970.

    Raises LakeDamagedError, naming the file, if it is missing or its content was altered.
    """
    with open_part(storage, file.path, size=file.bytes) as part:
        if not set(names) <= set(part.schema_arrow.names):
            raise LakeDamagedError(f"{storage.location}/{file.path} has other columns than written")
        rows = part.read(columns=list(names))
        # A page's checksum does not cover its header: a damaged header may hide the page's rows.
        if rows.num_rows != file.rows:
            raise LakeDamagedError(
                f"{storage.location}/{file.path} was altered: "
                f"it gives {count(rows.num_rows, 'row')} of the {file.rows} that were committed"
            )
        return [to_values(rows[name]) for name in names]


class _HashingSink:
    """A file to write to that hashes and counts the bytes."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Stay open: the caller that opened the file closes it, after fsync."""


def _span(footer: pq.FileMetaData) -> tuple[datetime, datetime] | None:
    """Return the first and the last `created_at` of a file; None if no row has one."""
    names = footer.schema.names
    if "created_at" not in names:
        return None
    place = names.index("created_at")
    groups = (footer.row_group(index).column(place) for index in range(footer.num_row_groups))
    known: list[Any] = [each for group in groups if (each := group.statistics) and each.has_min_max]
    if not known:
        return None
    return min(each.min for each in known), max(each.max for each in known)


def _open_writer(
    sink: BinaryIO,
    schema: pa.Schema,
    table: str,
    rows: int,
    footers: list[pq.FileMetaData] | None = None,
) -> pq.ParquetWriter:
    """Open a writer for about so many rows; `footers` gets the file's footer when it is closed."""
    bloom_filter = {"ndv": max(1, min(rows, MAX_GROUP_ROWS)), "fpp": BLOOM_FALSE_POSITIVES}
    return pq.ParquetWriter(
        sink,
        schema.with_metadata(
            {
                "chatlake.format": str(FORMAT),
                "chatlake.version": __version__,
                "chatlake.table": table,
            }
        ),
        compression="zstd",
        compression_level=3,
        use_dictionary=cast("Any", list(_leaf_paths(schema))),
        write_statistics=cast("Any", [name for name in schema.names if name not in LONG_COLUMNS]),
        write_page_checksum=True,
        bloom_filter_options={name: bloom_filter for name in ID_COLUMNS if name in schema.names},
        metadata_collector=footers,
    )


def _leaf_paths(schema: pa.Schema) -> Iterator[str]:
    """Yield the Parquet paths of the columns that repeat their values."""
    for field in schema:
        if field.name not in FEW_VALUED_COLUMNS:
            continue
        if pa.types.is_map(field.type):
            yield f"{field.name}.key_value.key"
            yield f"{field.name}.key_value.value"
        elif pa.types.is_list(field.type):
            yield f"{field.name}.list.element"
        else:
            yield field.name


def _halve(rows: pa.Table, limit: int) -> Iterator[pa.Table]:
    if rows.num_rows <= 1 or rows.nbytes <= limit:
        yield rows
        return
    middle = rows.num_rows // 2
    yield from _halve(rows.slice(0, middle), limit)
    yield from _halve(rows.slice(middle), limit)
