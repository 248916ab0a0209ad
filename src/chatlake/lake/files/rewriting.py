"""Rewriting part files with other rows: each function returns the new files and the replaced paths.

Nothing lists the new files yet; the commit does that. Files are hashed before their rows are copied
into a new file, because rows of an altered file must not get a new, valid hash. A file that is
missing or altered raises LakeDamagedError.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

import pyarrow as pa

from chatlake.errors import LakeDamagedError
from chatlake.lake.files.parts import read_columns, write_part
from chatlake.lake.files.schema import TIME
from chatlake.lake.files.unaltered import open_unaltered
from chatlake.model.counts import count
from chatlake.model.manifest import PartFile
from chatlake.storage.interface import Storage

Rewritten = tuple[list[PartFile], list[str]]
"""Files written, and the paths that they replace."""


def without(
    storage: Storage, files: Iterable[PartFile], column: str, unwanted: Container[str]
) -> Rewritten:
    """Rewrite those of `files` whose `column` has an unwanted value, without these rows.

    A file left without rows is only removed.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 - takes a while, rarely needed

    written: list[PartFile] = []
    removed: list[str] = []
    for file in files:
        hits = {key for key in read_columns(storage, file, column)[0] if key in unwanted}
        if not hits:
            continue
        removed.append(file.path)
        gone = pa.array(list(hits), pa.string())

        def kept(rows: pa.Table, gone: pa.Array[Any] = gone) -> pa.Table:
            return rows.filter(pc.invert(pc.is_in(rows[column], value_set=gone)))

        rest = _rewrite(storage, file, kept)
        if rest is not None:
            written.append(rest)
    return written, removed


def with_nulls(storage: Storage, files: Iterable[PartFile], column: str) -> Rewritten:
    """Rewrite `files` with nothing but NULL in `column`."""

    def nulls(rows: pa.Table) -> Any:
        return pa.nulls(rows.num_rows, rows.schema.field(column).type)

    files = list(files)
    return [_with_column(storage, file, column, nulls) for file in files], [f.path for f in files]


def marked_deleted(
    storage: Storage, files: Iterable[PartFile], completion_ids: Container[str], deleted_at: int
) -> Rewritten:
    """Rewrite those of `files` that have such completions, with `deleted_at` (microseconds).

    What is written is always after the completion's `synced_at`, so a clock that was put back does
    not reverse the history.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 - takes a while, rarely needed

    written: list[PartFile] = []
    removed: list[str] = []
    for file in files:
        stored = read_columns(storage, file, "completion_id")[0]
        gone = [key for key in stored if key in completion_ids]
        if not gone:
            continue

        def deleted(rows: pa.Table, gone: list[str] = gone) -> Any:
            hit = pc.is_in(rows["completion_id"], value_set=pa.array(gone, pa.string()))
            seen = rows["synced_at"].cast(pa.int64())  # as numbers: there is no maximum of times
            moment = pc.max_element_wise(pc.add(seen, 1), pa.scalar(deleted_at))
            return pc.if_else(hit, moment.cast(TIME), rows["deleted_at"])

        removed.append(file.path)
        written.append(_with_column(storage, file, "deleted_at", deleted))
    return written, removed


def _with_column(
    storage: Storage, file: PartFile, column: str, values: Callable[[pa.Table], Any]
) -> PartFile:
    def changed(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(column)
        return rows.set_column(place, rows.schema.field(place), values(rows))

    written = _rewrite(storage, file, changed)
    if written is None:
        raise LakeDamagedError(
            f"{file.path}: the manifest lists {count(file.rows, 'row')}, it holds none"
        )
    return written


def _rewrite(
    storage: Storage, file: PartFile, change: Callable[[pa.Table], pa.Table]
) -> PartFile | None:
    """Write the file's rows as `change` returns them, None if no row is left.

    Row group by row group, so that a large file needs little memory.
    """

    def changed() -> Iterator[pa.Table]:
        with open_unaltered(storage, file) as part:
            for index in range(part.num_row_groups):
                yield change(part.read_row_group(index))

    return write_part(storage, file.table, file.partition, changed(), expected_rows=file.rows)
