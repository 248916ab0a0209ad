"""Where the bytes of a lake are: the few operations that a folder or an object store must offer.

Paths are relative to the lake, in POSIX form, without `..`: `manifests/000000000001.json`. Every
write is durable and visible as a whole when its call returns, or not at all. A missing file raises
FileNotFoundError; any other failure raises LakeUnwritableError (writing) or LakeError (reading).
A write after the lock was lost raises LakeLockedError or LakeDamagedError.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, Protocol

import msgspec

from chatlake.errors import LakeError

TEMPORARY_SUFFIX: Final = ".tmp"
"""Temporary names begin with `_` and end like this, so neither DuckDB's nor pyarrow's globs read
them.
"""


READ_AHEAD_BYTES: Final = 4 << 20
"""How much is fetched at once of a file that is not on this machine."""


class LockHolder(msgspec.Struct, frozen=True):
    """The writer of a lake: host, process id, start (RFC 3339, UTC) and run."""

    host: str
    pid: int
    started_at: str
    run_id: str = ""

    def __str__(self) -> str:
        run = f", run {self.run_id}" if self.run_id else ""
        return f"process {self.pid} on {self.host}, since {self.started_at}{run}"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One stored file: its path, size in bytes, and last change (UTC)."""

    path: str
    size: int
    modified_at: datetime


class Storage(Protocol):
    """One lake's place."""

    location: str

    def read(self, path: str) -> bytes:
        """Return the whole file. FileNotFoundError if it is absent."""
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Write a file that must not exist yet; False, and nothing changed, if it does.

        If several write different bytes at the same instant, exactly one gets True.
        """
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, new or in place of the old one; readers of the old one keep it."""
        ...

    def open_output(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Write a large new file: it appears when the block ends well, else nothing is left."""
        ...

    def open_input(self, path: str) -> BinaryIO:
        """Open a file to read and seek in. FileNotFoundError if it is absent."""
        ...

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield every file below a folder, temporary ones too, by path; none if it is absent."""
        ...

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None if the file is absent."""
        ...

    def sizes(self, paths: Collection[str]) -> dict[str, int]:
        """Return the sizes in bytes of those of many files that exist."""
        ...

    def now(self) -> datetime:
        """Return the time (UTC) by the clock that gives files the time of their last change."""
        ...

    def move(self, moves: Mapping[str, str]) -> None:
        """Give files other paths, old -> new; one that is absent is left out.

        Stopped at any instant, a file has its old path, its new one, or both. An existing file at
        the new path is replaced. No folder is left empty.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens if it is absent. No folder is left empty."""
        ...

    def local_path(self, path: str) -> str | None:
        """Return the absolute path of a file on this machine; None if the place has none."""
        ...

    def url(self, path: str) -> str | None:
        """Return the name by which DuckDB reads the file; None if it cannot."""
        ...

    def lock(self, holder: LockHolder) -> AbstractContextManager[None]:
        """Be the only writer inside the block.

        LakeLockedError, naming the other writer's host, process and start, if another one holds
        the lock. The lock of a process that died on this machine is free at once. Child processes
        never hold it.
        """
        ...

    def lock_holder(self) -> LockHolder | None:
        """Return who holds the lock; None if it is free."""
        ...


def checked(path: str) -> str:
    """Return `path` if it stays within the lake; LakeError if it does not."""
    parts = path.split("/")
    if not path or "\\" in path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise LakeError(
            f"{path!r} is not a path within a lake", hint="Look at the lake's manifests."
        )
    return path


def step_of(path: str) -> str:
    """Return the word that names the fail-points of writing this file."""
    folder, _, name = path.rpartition("/")
    if folder == "manifests":
        return "checkpoint" if name.startswith("checkpoint-") else "manifest"
    return "catalog" if name.startswith("catalog") else "part"
