"""From columns of plain values to Arrow and back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, cast

import pyarrow as pa

from chatlake.lake.files.schema import JSON, SCHEMAS, TIME
from chatlake.model.tables import IMAGES

_IMAGE_COPY_BYTES: Final = 8 << 20  # half a row group of images


def to_table(table: str, columns: dict[str, list[Any]]) -> pa.Table:
    """Build an Arrow table from columns of plain values (names as in `model.tables.COLUMNS`).

    Times: aware datetimes, or whole microseconds since 1970 (faster). JSON and text: str or UTF-8
    bytes. metadata: lists of (key, value). Any value may be None.
    """
    schema = SCHEMAS[table]
    arrays = [_to_array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_tables(table: str, columns: dict[str, list[Any]]) -> Iterator[pa.Table]:
    """Build Arrow tables as `to_table` does.

    For images, several small ones, because each is a copy.
    """
    if table != IMAGES:
        yield to_table(table, columns)
        return
    start = size = 0
    for end, data in enumerate(columns["data"]):
        length = len(data or b"")
        if size and size + length > _IMAGE_COPY_BYTES:
            yield to_table(table, {name: values[start:end] for name, values in columns.items()})
            start, size = end, 0
        size += length
    yield to_table(table, {name: values[start:] for name, values in columns.items()})


def to_values(column: pa.ChunkedArray[Any]) -> list[Any]:
    """Return a column's plain values, times as microseconds since 1970."""
    if column.type != TIME:
        return column.to_pylist()
    # As numbers: Arrow takes a microsecond for each datetime with a time zone.
    return list(chain.from_iterable(c.view(pa.int64()).to_pylist() for c in column.chunks))


def _to_array(values: list[Any], kind: pa.DataType) -> pa.Array[Any] | pa.ChunkedArray[Any]:
    if kind == JSON:
        # Arrow's stubs know neither the storage of an extension array nor its chunks.
        stored: Any = _to_array(values, JSON.storage_type)
        chunks = stored.chunks if isinstance(stored, pa.ChunkedArray) else [stored]
        json: Any = JSON
        return pa.chunked_array([pa.ExtensionArray.from_storage(json, c) for c in chunks], json)
    if pa.types.is_timestamp(kind):
        known = next((value for value in values if value is not None), None)
        if isinstance(known, int):
            return pa.array(values, pa.int64()).view(TIME)
    return cast("pa.Array[Any]", pa.array(values, kind))
