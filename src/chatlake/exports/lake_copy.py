"""`export parquet`: a clean copy of a selection, as plain Parquet that any tool may glob."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from chatlake.exports.folders import entries, open_folder, write_file
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.report import ExportReport
from chatlake.exports.selection import reading
from chatlake.lake.files.schema import SCHEMAS
from chatlake.lake.lake import Lake
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, IMAGES, MESSAGES

_ROWS_AT_ONCE: Final = {COMPLETIONS: 5_000, MESSAGES: 10_000, CONTENT_PARTS: 10_000, IMAGES: 64}
_ORDER: Final = {
    COMPLETIONS: "created_at NULLS FIRST, completion_id",
    MESSAGES: "created_at NULLS FIRST, completion_id, message_index",
    CONTENT_PARTS: "created_at NULLS FIRST, completion_id, message_index, part_index",
    IMAGES: "sha256",
}
_CHOSEN: Final = "(FROM selected WHERE source = $source AND created_date = $day)"
_OF_COMPLETION: Final = "completion_id IN (SELECT completion_id FROM {chosen})"
_OF_IMAGE: Final = """sha256 IN (
    SELECT image_sha256 FROM content_parts
    WHERE source = $source AND created_date = $day
        AND completion_id IN (SELECT completion_id FROM {chosen})
)"""
_READ: Final = """
SELECT {columns} FROM {table}
WHERE source = $source AND created_date = $day AND {condition}
ORDER BY {order}
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
            for day, source, count in connection.execute(_DAYS).fetchall():
                for table in _ORDER:
                    place = folder / table / f"source={source}" / f"created_date={day}"
                    rows[table] += _copy(connection, table, source, day, place)
                report.selected += count
                report.written += count
        report.files = entries(folder)
    report.more["rows"] = rows
    report.write_beside(output)
    return report


def _copy(
    connection: duckdb.DuckDBPyConnection, table: str, source: str, day: date, folder: Path
) -> int:
    schema = _schema(connection, table)
    query = _READ.format(
        columns=", ".join(f'"{name}"' for name in schema.names),
        table=table,
        condition=(_OF_IMAGE if table == IMAGES else _OF_COMPLETION).format(chosen=_CHOSEN),
        order=_ORDER[table],
    )
    result = connection.execute(query, {"source": source, "day": day})
    count = 0
    writer: pq.ParquetWriter | None = None
    try:
        while batch := result.fetchmany(_ROWS_AT_ONCE[table]):
            if writer is None:
                path = folder / "part-00000.parquet"
                write_file(path, b"")
                writer = pq.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(_table(batch, schema))
            count += len(batch)
    finally:
        if writer is not None:
            writer.close()
    return count


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    arrays: list[Any] = []
    for values, field in zip(zip(*rows, strict=True), schema, strict=True):
        kind = field.type
        if isinstance(kind, pa.BaseExtensionType):
            plain = pa.array(values, kind.storage_type)
            arrays.append(pa.ExtensionArray.from_storage(kind, plain))
        elif pa.types.is_map(kind):
            arrays.append(pa.array([None if v is None else list(v.items()) for v in values], kind))
        else:
            arrays.append(pa.array(values, kind))
    return pa.Table.from_arrays(arrays, schema=schema)


def _schema(connection: duckdb.DuckDBPyConnection, table: str) -> pa.Schema:
    """Return the columns that both the files and the view of a table have, in the view's order."""
    found = connection.execute(f"DESCRIBE {table}").fetchall()
    stored = SCHEMAS[table]
    return pa.schema([stored.field(name) for name, *_ in found if name in stored.names])
