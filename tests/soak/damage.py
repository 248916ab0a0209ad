"""Damage to data files, and what `verify` has to say about it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatlake.lake.lake import Lake
from chatlake.model.manifest import PartFile
from chatlake.model.partitions import Partition
from chatlake.verify.findings import FindingKind


@dataclass(frozen=True, slots=True)
class Damage:
    """Files of one partition that were damaged. `undo`, where there is one, puts them right."""

    partition: Partition
    files: list[PartFile]
    kind: FindingKind
    undo: Callable[[], object] | None = None

    @property
    def paths(self) -> set[str]:
        """Where the files lie in the lake."""
        return {file.path for file in self.files}

    def __str__(self) -> str:
        tables = " and ".join(file.table for file in self.files)
        return f"{self.kind}: {tables} of {self.partition.source} {self.partition.created_date}"


def do_damage(lake: Path, how: str, where: float, *, source: str | None = None) -> Damage:
    """Delete, truncate or flip a bit of a file; of some other tables of its day too, perhaps.

    `source`: only of this one. `where`, in [0, 1), decides all that `how` leaves open. Only a
    flipped bit can be undone: a backup does not read what it does not need, so it would stay.
    """
    files = _choose_files(lake, how, where, source)
    partition = files[0].partition
    if how == "flip":
        path = lake / files[0].path
        data = path.read_bytes()
        place = int(where * len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        return Damage(partition, files, "altered", lambda: path.write_bytes(data))
    for file in files:
        if how == "delete":
            (lake / file.path).unlink()
        else:
            os.truncate(lake / file.path, int(where * file.bytes))
    return Damage(partition, files, "missing" if how == "delete" else "size")


def _choose_files(lake: Path, how: str, where: float, source: str | None) -> list[PartFile]:
    state = Lake.open(lake).state
    rng = random.Random(where)
    tables = {file.table for file in state.files.values() if source in {None, file.source}}
    table = rng.choice(sorted(tables))
    of_table = [file for file in state.table_files(table) if source in {None, file.source}]
    first = rng.choice(sorted(of_table, key=lambda file: file.path))
    same_day = {file.table: file for file in state.partition_files(first.partition)}
    others = [file for name, file in sorted(same_day.items()) if name != table]
    count = 0 if how == "flip" else rng.choice((0, 0, 0, 1, 2))
    return [first, *rng.sample(others, min(count, len(others)))]
