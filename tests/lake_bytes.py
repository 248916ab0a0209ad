"""Every byte of a lake, decompressed: whether a text is left anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import duckdb
import pyarrow.parquet as pq

from chatlake.lake import Lake
from chatlake.storage.interface import Storage


def files_with(lake: Lake, *needles: str | bytes) -> set[str]:
    """Return the files of a lake, listed or not, that hold any of the texts or bytes."""
    wanted = [each.encode() if isinstance(each, str) else each for each in needles]
    return {
        file.path
        for file in lake.storage.list()
        if any(each in content for content in _contents(lake.storage, file.path) for each in wanted)
    }


def _contents(storage: Storage, path: str) -> Iterator[bytes]:
    yield storage.read(path)
    if path.endswith(".parquet"):
        with storage.open_input(path) as file:
            table = pq.read_table(file, partitioning=None)
            for column in table.columns:
                for value in column.to_pylist():
                    if value is not None:
                        yield value if isinstance(value, bytes) else str(value).encode()
    elif path.endswith(".duckdb") and (place := storage.local_path(path)):
        with closing(duckdb.connect(place, read_only=True)) as connection:
            tables = "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
            for (name,) in connection.execute(tables).fetchall():
                yield str(connection.execute(f"FROM {name}").fetchall()).encode()
