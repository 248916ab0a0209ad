"""Findings of columns that do not match the objects of one partition."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa

from chatlake.errors import LakeDamagedError
from chatlake.lake.files.arrow import to_values
from chatlake.lake.files.parts import open_part
from chatlake.model.counts import count
from chatlake.model.manifest import PartFile
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, IMAGES, MESSAGES
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.derived import slices
from chatlake.verify.derived_rows import Difference, differences
from chatlake.verify.findings import RESTORE_OR_FETCH, Finding, split_message

_KEY: Final = {COMPLETIONS: "completion_id", MESSAGES: "message_id", CONTENT_PARTS: "message_id"}

Found = dict[tuple[str, str], list[str]]
"""(Table, column) -> the rows that differ: their completion or message ids."""


def check_derived(
    storage: RereadingStorage,
    files: Sequence[PartFile],
    keys: Mapping[str, pa.Table],
    wanted: Collection[str],
) -> Iterator[Finding]:
    """Derive again the columns of the completions in the `wanted` files of one partition.

    `keys`: path -> the `KEY_COLUMNS` of each of the `files`.
    """
    found: Found = {}
    ids: set[str] = set()
    sizes: dict[str, int] = {}
    for file in files:
        rows = keys.get(file.path)
        if rows is not None and file.table == COMPLETIONS and file.path in wanted:
            ids.update(filter(None, rows["completion_id"].to_pylist()))
        elif rows is not None and file.table == IMAGES:
            sizes.update(zip(*(rows[n].to_pylist() for n in ("sha256", "byte_size")), strict=True))
    try:
        images = _Images(storage, [file for file in files if file.table == IMAGES])
        for part in slices(storage, files, ids, sizes):
            suspects, rows_of = part.differing()
            for completion_id in suspects:
                unreadable = part.unreadable.get(completion_id)
                for each in differences(completion_id, rows_of, images.load, unreadable):
                    _note(found, each)
        yield from _findings(storage, files, found)
    except LakeDamagedError as error:
        path, problem = split_message(storage, error.message)
        yield Finding(path, problem, RESTORE_OR_FETCH, "unreadable")


def _note(found: Found, difference: Difference) -> None:
    rows = found.setdefault((difference.table, difference.column), [])
    if difference.example not in rows[-1:]:
        rows.append(difference.example)


def _findings(
    storage: RereadingStorage, files: Sequence[PartFile], found: Found
) -> Iterator[Finding]:
    for (table, column), rows in sorted(found.items()):
        names = set(rows)
        for file in files:
            if file.table != table:
                continue
            with open_part(storage, file.path, size=file.bytes) as part:
                keys = part.read(columns=[_KEY[table]])[_KEY[table]]
            here = [key for key in set(to_values(keys)) if key in names]
            if here:
                what = "cannot be read" if column == "raw" else "does not match raw"
                rows_of = count(len(here), "row")
                problem = f"{column} of {rows_of} {what}: {min(here)}"
                yield Finding(file.path, problem, RESTORE_OR_FETCH, "derived")


class _Images:
    """The images of a partition, by hash, read when needed; one row group is kept."""

    def __init__(self, storage: RereadingStorage, files: Sequence[PartFile]) -> None:
        self._storage = storage
        self._files = files
        self._kept: dict[str, bytes] = {}
        self._places: dict[str, tuple[str, int]] | None = None

    def load(self, sha256: str) -> bytes | None:
        """Return the bytes of an image; None if the partition has none of this hash."""
        if sha256 not in self._kept:
            if self._places is None:
                self._places = dict(self._find())
            place = self._places.get(sha256)
            if place is None:
                return None
            path, group = place
            with open_part(self._storage, path) as part:
                rows = part.read_row_group(group, columns=["sha256", "data"])
            names, data = (to_values(rows[name]) for name in ("sha256", "data"))
            self._kept = dict(zip(names, data, strict=True))
        return self._kept[sha256]

    def _find(self) -> Iterator[tuple[str, tuple[str, int]]]:
        for file in self._files:
            with open_part(self._storage, file.path, size=file.bytes) as part:
                for group in range(part.num_row_groups):
                    rows = part.read_row_group(group, columns=["sha256"])
                    for sha256 in to_values(rows["sha256"]):
                        yield sha256, (file.path, group)
