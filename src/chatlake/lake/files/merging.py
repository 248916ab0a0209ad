"""Merging part files into one: the same rows in the same order, in full row groups.

What is read is hashed first: rows of an altered file must not get a new, right hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from chatlake.errors import LakeDamagedError
from chatlake.lake.files import parts
from chatlake.lake.files.schema import SCHEMAS
from chatlake.lake.files.unaltered import open_unaltered
from chatlake.model.compaction import Merge
from chatlake.model.counts import count
from chatlake.model.manifest import PartFile
from chatlake.model.tables import IMAGES
from chatlake.storage.interface import Storage

_GROUP_BYTES: Final = parts.MAX_GROUP_BYTES // 2
"""A merge has two row groups in memory, and one being written: less than a backup needs."""


def merge(storage: Storage, files: Merge) -> PartFile:
    """Write the rows of all files into a new one; nothing lists it yet.

    Memory holds about two row groups, whatever the size. LakeDamagedError names a file that is
    missing or not as it was committed; LakeUnwritableError.
    """
    expected = sum(file.rows for file in files.files)
    written = parts.write_part(
        storage,
        files.table,
        files.partition,
        full_groups(files.table, _row_groups(storage, files)),
        expected_rows=expected,
    )
    rows = 0 if written is None else written.rows
    if written is None or rows != expected:
        # Their hashes were right a moment ago, so the machine's disk or memory is at fault.
        raise LakeDamagedError(
            f"{storage.location}/{files.files[0].path} and those beside it give "
            f"{count(rows, 'row')} of the {expected} that were committed"
        )
    return written


def full_groups(table: str, groups: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join row groups: each but the last has the maximum of rows, or over half the bytes."""
    limit = parts.MAX_IMAGE_GROUP_BYTES if table == IMAGES else _GROUP_BYTES
    held: list[pa.Table] = []
    rows = octets = 0
    for group in groups:
        if octets * 2 >= limit and octets + group.nbytes > limit:
            yield pa.concat_tables(held)
            held, rows, octets = [], 0, 0
        while rows + group.num_rows > parts.MAX_GROUP_ROWS:
            missing = parts.MAX_GROUP_ROWS - rows
            yield pa.concat_tables([*held, group.slice(0, missing)])
            group = group.slice(missing)  # noqa: PLW2901 - what is left of it
            held, rows, octets = [], 0, 0
        held.append(group)
        rows += group.num_rows
        octets += group.nbytes
    if held:
        yield pa.concat_tables(held)


def _row_groups(storage: Storage, files: Merge) -> Iterator[pa.Table]:
    for file in files.files:
        with open_unaltered(storage, file) as part:
            if not part.schema_arrow.equals(SCHEMAS[files.table]):
                raise LakeDamagedError(
                    f"{storage.location}/{file.path} has other columns than written"
                )
            for index in range(part.num_row_groups):
                yield part.read_row_group(index)
