"""The bytes of embedded images, read from the lake as an export reaches them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import pyarrow as pa

from chatlake.errors import LakeDamagedError
from chatlake.lake.files.parts import open_part
from chatlake.lake.lake import Lake
from chatlake.model.partitions import Partition
from chatlake.model.tables import IMAGES

_GROUPS_KEPT = 4  # of about 16 MiB each: an export meets images nearly in the order stored


class StoredImages:
    """Images by SHA-256, of one partition after the other.

    Whole row groups are read, and the last few kept, so memory is bounded for any day.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._places: dict[Partition, dict[str, tuple[str, int, int]]] = {}
        self._groups: OrderedDict[tuple[str, int], pa.ChunkedArray[Any]] = OrderedDict()

    def load(self, partition: Partition, sha256: str) -> bytes | None:
        """Return an image's bytes; None if the lake has only its hash. Raises LakeDamagedError."""
        if partition not in self._places:
            if any(known.created_date != partition.created_date for known in self._places):
                self._places.clear()
            self._places[partition] = self._find_all(partition)
        place = self._places[partition].get(sha256)
        if place is None:
            return None
        path, group, row = place
        data: bytes = self._group(path, group)[row].as_py()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LakeDamagedError(
                f"{self._lake.location}/{path} was altered: an image does not match its SHA-256"
            )
        return data

    def _find_all(self, partition: Partition) -> dict[str, tuple[str, int, int]]:
        places: dict[str, tuple[str, int, int]] = {}
        for file in self._lake.state.partition_files(partition, IMAGES):
            with open_part(self._lake.storage, file.path, size=file.bytes) as part:
                for group in range(part.num_row_groups):
                    column = part.read_row_group(group, columns=["sha256"])["sha256"]
                    for row, sha256 in enumerate(map(str, column.to_pylist())):
                        places[sha256] = (file.path, group, row)
        return places

    def _group(self, path: str, group: int) -> pa.ChunkedArray[Any]:
        key = (path, group)
        if key not in self._groups:
            while len(self._groups) >= _GROUPS_KEPT:
                self._groups.popitem(last=False)
            with open_part(self._lake.storage, path) as part:
                self._groups[key] = part.read_row_group(group, columns=["data"])["data"]
        self._groups.move_to_end(key)
        return self._groups[key]
