"""`verified.json`: which files a verification has read, and when, so it can be done in parts.

It is not part of the lake's format. If it is missing or damaged, every file counts as unchecked.
Like a manifest it begins with its own SHA-256.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self

import msgspec

from chatlake.errors import LakeDamagedError, UsageError
from chatlake.lake.sealed import seal
from chatlake.model.manifest import PartFile
from chatlake.storage.interface import Storage

RECORD: Final = "verified.json"
NEVER: Final = datetime.min.replace(tzinfo=UTC)
_HEAD_SIZE: Final = len('{"sha256":"",') + 64


@dataclass(frozen=True, slots=True)
class Subset:
    """Part `part` of `of`: `of` verifications, one for each part, cover every file.

    Raises UsageError unless 1 ≤ part ≤ of.
    """

    part: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.part <= self.of:
            raise UsageError(
                f"--subset {self}: the first number must be from 1 to the second",
                hint="For a part every night of a month: --subset $(date +%d)/31.",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `K/N`; UsageError for anything else."""
        part, _, of = text.partition("/")
        if not (part.isdecimal() and of.isdecimal()):
            raise UsageError(
                f"--subset {text}: expected K/N, two whole numbers",
                hint="--subset 1/30 checks a thirtieth of the files.",
            )
        return cls(int(part), int(of))

    def __str__(self) -> str:
        return f"{self.part}/{self.of}"


class Record(msgspec.Struct):
    """What earlier verifications found.

    `number`: the newest commit that was seen. `checked`: path -> when it was last found intact,
    None for never. `damaged`: the files that were not intact.
    """

    number: int = 0
    checked: dict[str, Annotated[datetime, msgspec.Meta(tz=True)] | None] = {}
    damaged: list[str] = []

    @classmethod
    def load(cls, storage: Storage) -> Self | None:
        """Read the record; None if it is missing or damaged."""
        try:
            text = storage.read(RECORD)
            inner = b"{" + text[_HEAD_SIZE:-1]
            return msgspec.json.decode(inner, type=cls) if seal(inner) == text else None
        except (FileNotFoundError, LakeDamagedError, msgspec.DecodeError):
            return None

    def updated(
        self,
        number: int,
        listed: Collection[str],
        checked: Collection[str],
        damaged: Collection[str],
    ) -> Record:
        """Return the record after a verification: only what is listed stays in it.

        Damaged files stay marked until they are checked again. Times only increase, whatever the
        clock does, because only their order matters.
        """
        latest = max((at for at in self.checked.values() if at is not None), default=NEVER)
        at = max(datetime.now(UTC), latest + timedelta(microseconds=1))
        bad = {*damaged, *(path for path in self.damaged if path not in checked)}
        return Record(
            number=max(number, self.number),
            checked={
                path: at if path in checked and path not in bad else self.checked.get(path)
                for path in listed
            },
            damaged=sorted(path for path in bad if path in listed),
        )

    def save(self, storage: Storage) -> None:
        """Write the record atomically. Raises LakeUnwritableError."""
        storage.replace(RECORD, seal(msgspec.json.encode(self)))


def choose(
    files: Sequence[PartFile], subset: Subset | None, record: Record | None
) -> list[PartFile]:
    """Return the files to check: all, or those checked longest ago.

    For part K/N of `subset`, that is one Nth of the files, rounded up. Files that are new since the
    last verification, and files that it found damaged, are checked in addition. So N verifications
    cover every file, however many are added. If nothing is recorded, K selects the slice, so this
    holds even if no verification can write its record.
    """
    files = sorted(files, key=lambda file: (file.partition, file.table, file.path))
    if subset is None:
        return files
    quota = -(-len(files) // subset.of)
    turned = quota * (subset.part - 1)
    queue = files[turned:] + files[:turned]
    chosen: set[str] = set()
    if record is not None:
        damaged = set(record.damaged)
        chosen = {f.path for f in queue if f.path in damaged or f.path not in record.checked}
        checked = record.checked
        queue.sort(key=lambda file: checked.get(file.path) or NEVER)
    rest = [file.path for file in queue if file.path not in chosen]
    chosen.update(rest[:quota])
    return [file for file in files if file.path in chosen]
