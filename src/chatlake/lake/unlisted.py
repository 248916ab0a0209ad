"""Files that no manifest lists: temporary ones, replaced ones, those of killed writers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from chatlake.lake.files.replaced import FOLDER as REPLACED
from chatlake.lake.files.replaced import listed_path
from chatlake.model.manifest import LakeState
from chatlake.model.partitions import Partition
from chatlake.model.tables import COLUMNS
from chatlake.storage.interface import TEMPORARY_SUFFIX, Storage, StoredFile

PARQUET: Final = ".parquet"
_PLACE: Final = re.compile(
    r"(?P<table>[a-z_]+)/source=(?P<source>[^/]+)/created_date=(?P<day>[^/]+)/[^/]+"
)


class DataFile(NamedTuple):
    """A data file that no manifest lists; `size` in bytes."""

    path: str
    table: str
    size: int


def leftovers(storage: Storage, state: LakeState) -> Iterator[StoredFile]:
    """Yield every file that the state does not list and that a writer of chatlake left behind."""
    for file in storage.list():
        folder, _, name = file.path.rpartition("/")
        top = folder.partition("/")[0]
        is_data = top == REPLACED or (top in COLUMNS and file.path not in state.files)
        if is_data or (name.startswith("_") and name.endswith(TEMPORARY_SUFFIX)):
            yield file


def temporary_files(storage: Storage, state: LakeState) -> Iterator[str]:
    """Yield files that killed writers left half written.

    They may contain anything, and are not needed.
    """
    for file in leftovers(storage, state):
        if file.path.endswith(TEMPORARY_SUFFIX):
            yield file.path


def by_partition(storage: Storage, state: LakeState) -> dict[Partition, list[DataFile]]:
    """Return partition -> unlisted data files, wherever they lie."""
    found: dict[Partition, list[DataFile]] = {}
    for file in storage.list():
        place = _PLACE.fullmatch(listed_path(file.path))
        if place is None or file.path in state.files or not file.path.endswith(PARQUET):
            continue
        partition = Partition(place["source"], place["day"])
        found.setdefault(partition, []).append(DataFile(file.path, place["table"], file.size))
    return found


def in_tables(paths: Iterable[str], state: LakeState) -> list[str]:
    """Return the unlisted Parquet files among `paths` that a glob over a table's folder counts."""
    return [
        path
        for path in paths
        if path.endswith(PARQUET) and path.partition("/")[0] in COLUMNS and path not in state.files
    ]
