"""`export parquet`: a clean copy of a selection, as plain Parquet that any tool may glob.

DuckDB sorts a day's rows, and Arrow takes them over in batches, so no value becomes a Python
object.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from chatlake.exports.day_tables import DayTables
from chatlake.exports.folders import entries, open_folder, write_file
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.report import ExportReport
from chatlake.exports.selection import reading
from chatlake.lake.files.parts import MAX_GROUP_ROWS, row_groups
from chatlake.lake.files.schema import JSON, SCHEMAS
from chatlake.lake.lake import Lake
from chatlake.model.partitions import Partition
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, IMAGES, MESSAGES

_ROWS_AT_ONCE: Final = {COMPLETIONS: 256, MESSAGES: 256, CONTENT_PARTS: 256, IMAGES: 16}
_GROUP_BYTES: Final = 16 << 20
_SLICE_BYTES: Final = 32 << 20
_SLICED: Final = (COMPLETIONS, MESSAGES, CONTENT_PARTS)
_ORDER: Final = {
    COMPLETIONS: "created_at NULLS FIRST, completion_id",
    MESSAGES: "created_at NULLS FIRST, completion_id, message_index",
    CONTENT_PARTS: "created_at NULLS FIRST, completion_id, message_index, part_index",
    IMAGES: "sha256",
}
_OF_COMPLETION: Final = """completion_id IN (
    SELECT completion_id FROM selected WHERE source = $source AND created_date = $day
)"""
_OF_IMAGE: Final = """sha256 IN (
    SELECT image_sha256 FROM {content_parts} WHERE completion_id IN (
        SELECT completion_id FROM selected WHERE source = $source AND created_date = $day
    )
)"""
# A day is sorted in slices of its time, so that memory does not grow with it.
_BOUNDS: Final = """
SELECT DISTINCT created_at FROM (
    SELECT created_at, row_number() OVER (ORDER BY created_at NULLS FIRST) - 1 AS place
    FROM {completions} WHERE completion_id IN (
        SELECT completion_id FROM selected WHERE source = $source AND created_date = $day
    )
)
WHERE place > 0 AND place % $step = 0 AND created_at IS NOT NULL
ORDER BY ALL
"""
_DAYS: Final = """
SELECT created_date, source, count(*) FROM selected GROUP BY ALL ORDER BY ALL
"""


def export_parquet(
    lake: Lake, output: str | os.PathLike[str], selection: Selection | None = None
) -> ExportReport:
    """Write `<table>/source=…/created_date=…/part-00000.parquet` for the four tables.

    The rows are those of the views of these names; `images` has those that the selection uses.
    UsageError for a bad condition or path, LakeDamagedError for a damaged lake.
    """
    selection = selection or Selection()
    report = ExportReport("parquet", lake.state.number, selection.as_options())
    rows = dict.fromkeys(_ORDER, 0)
    with chosen(lake, selection) as connection, open_folder(output) as folder:
        with reading(lake):
            tables = DayTables(lake, connection, tuple(_ORDER))
            columns = {table: _columns(connection, table) for table in _ORDER}
            for day, source, count in connection.execute(_DAYS).fetchall():
                partition = Partition(source, str(day))
                tables.turn_to([partition])
                copy = _DayCopy(connection, tables, {"source": source, "day": day})
                for table, schema in columns.items():
                    found = copy.read(table, schema)
                    rows[table] += _write(folder / table / partition.folder, table, schema, found)
                report.selected += count
                report.written += count
        report.files.add_all(entries(folder))
    report.more["rows"] = rows
    report.write_beside(output)
    return report


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> pa.Schema:
    """Return the columns that both the files and the view of a table have, in the view's order."""
    found = connection.execute(f"DESCRIBE {table}").fetchall()
    stored = SCHEMAS[table]
    return pa.schema([stored.field(name) for name, *_ in found if name in stored.names])


class _DayCopy:
    """The selected rows of one source's day, in order; `place` names source and day."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, tables: DayTables, place: dict[str, Any]
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._place = place
        step = min(tables.completions_within(_SLICE_BYTES, table) for table in _SLICED)
        found = tables.ask(
            lambda names: connection.execute(_BOUNDS.format(**names), {**place, "step": step})
        )
        self._bounds = [bound for (bound,) in found.fetchall()]

    def read(self, table: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table in batches of a fixed number."""
        columns = ", ".join(map(_column, schema))
        if table == IMAGES:
            yield from self._sorted(table, columns, _OF_IMAGE, {})
            return
        for low, high in pairwise([None, *self._bounds, None]):
            conditions, bounds = [_OF_COMPLETION], {}
            if low is not None:
                conditions.append("created_at >= $low")
                bounds["low"] = low
            if high is not None:
                before = "created_at < $high"
                conditions.append(before if low else f"(created_at IS NULL OR {before})")
                bounds["high"] = high
            condition = " AND ".join(conditions)
            yield from self._sorted(table, columns, condition, bounds)

    def _sorted(
        self, table: str, columns: str, condition: str, more: dict[str, Any]
    ) -> Iterator[pa.RecordBatch]:
        def first_batch(
            names: dict[str, str],
        ) -> tuple[pa.RecordBatchReader, pa.RecordBatch | None]:
            # The rows are sorted, so the first batch comes only after every file has been read.
            query = (
                f"SELECT {columns} FROM {names[table]} "  # noqa: S608 - of our own names alone
                f"WHERE {condition.format(**names)} ORDER BY {_ORDER[table]}"
            )
            answer = self._connection.sql(query, params=self._place | more)
            batches = answer.to_arrow_reader(_ROWS_AT_ONCE[table])
            return batches, next(batches, None)

        batches, first = self._tables.ask(first_batch)
        if first is not None:
            yield first
            yield from batches


def _column(field: pa.Field[Any]) -> str:
    """Return a column as Arrow takes it over: JSON as text."""
    name = f'"{field.name}"'
    return f"{name}::VARCHAR AS {name}" if field.type == JSON else name


def _write(folder: Path, table: str, schema: pa.Schema, rows: Iterator[pa.RecordBatch]) -> int:
    """Write the one file of a source's day; no file without rows. Returns how many rows."""
    groups = _grouped(rows)
    first = next(groups, None)
    if first is None:
        return 0
    path = folder / "part-00000.parquet"
    write_file(path, b"")
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in chain([first], groups):
            for each in row_groups(table, group.cast(schema)):
                writer.write_table(each, row_group_size=MAX_GROUP_ROWS)
            count += group.num_rows
    return count


def _grouped(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather batches until they are worth a row group."""
    waiting: list[pa.RecordBatch] = []
    size = count = 0
    for batch in rows:
        waiting.append(batch)
        size += batch.nbytes
        count += batch.num_rows
        if size >= _GROUP_BYTES or count >= MAX_GROUP_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, size, count = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)
