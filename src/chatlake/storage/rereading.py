"""A storage that retries reads, so a temporary fault of disk or network is not taken for damage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Final, TypeVar

from chatlake.errors import (
    LakeDamagedError,
    LakeError,
    LakeForbiddenError,
    LakeUnreachableError,
)
from chatlake.storage.file_errors import too_many_open
from chatlake.storage.interface import LockHolder, Storage, StoredFile

ATTEMPTS: Final = 3
PAUSE_S: Final = 0.2

T = TypeVar("T")


class RereadingStorage:
    """Another storage, each of whose reads is tried `ATTEMPTS` times, with a pause between.

    If the last attempt fails too, LakeDamagedError names the file; OpenFilesError if too many files
    are open. These are raised at once:
    FileNotFoundError for a missing file, LakeForbiddenError for a missing permission, and
    LakeUnreachableError for a bucket that does not respond. `pause`: sleeps, in seconds.
    """

    def __init__(self, storage: Storage, pause: Callable[[float], None]) -> None:
        self.location = storage.location
        self._storage = storage
        self._pause = pause

    def read(self, path: str) -> bytes:
        """Return the whole file."""
        return self._patiently(path, lambda: self._storage.read(path))

    def open_input(self, path: str) -> BinaryIO:
        """Open a file to read and seek in; later failures are for the reader to retry."""
        return self._patiently(path, lambda: self._storage.open_input(path))

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield every file below a folder."""
        return iter(self._patiently(folder, lambda: list(self._storage.list(folder))))

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None if the file is absent."""
        return self._patiently(path, lambda: self._storage.size(path))

    def sizes(self, paths: Collection[str]) -> dict[str, int]:
        """Return the sizes in bytes of those of many files that exist."""
        return self._patiently("", lambda: self._storage.sizes(paths))

    def now(self) -> datetime:
        """Return the time by the storage's clock."""
        return self._patiently("", self._storage.now)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file that must not exist yet."""
        return self._storage.create(path, data)

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, new or in place of the old one."""
        self._storage.replace(path, data)

    def open_output(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Write a large new file."""
        return self._storage.open_output(path)

    def move(self, moves: Mapping[str, str]) -> None:
        """Give files other paths."""
        self._storage.move(moves)

    def delete(self, path: str) -> None:
        """Remove a file."""
        self._storage.delete(path)

    def local_path(self, path: str) -> str | None:
        """Return the path on this machine, if there is one."""
        return self._storage.local_path(path)

    def url(self, path: str) -> str | None:
        """Return the name by which DuckDB reads the file, if it can."""
        return self._storage.url(path)

    def lock(self, holder: LockHolder) -> AbstractContextManager[None]:
        """Be the only writer inside the block."""
        return self._storage.lock(holder)

    def lock_holder(self) -> LockHolder | None:
        """Return who holds the lock."""
        return self._storage.lock_holder()

    def pause(self) -> None:
        """Wait before the next attempt."""
        self._pause(PAUSE_S)

    def _patiently(self, path: str, attempt: Callable[[], T]) -> T:
        for left in reversed(range(ATTEMPTS)):
            try:
                return attempt()
            except (FileNotFoundError, LakeForbiddenError, LakeUnreachableError):
                raise  # trying again does not help: a store's own library has done so already
            except (OSError, LakeError) as error:
                if not left:
                    if limit := too_many_open(error):
                        raise limit from error
                    place = f"{self.location}/{path}".rstrip("/")
                    raise LakeDamagedError(f"{place} cannot be read: {why(error)}") from error
            self.pause()
        raise AssertionError("unreachable")


def why(error: BaseException) -> str:
    """Return the reason of a read error in few words."""
    for problem in (error, error.__cause__):
        if isinstance(problem, OSError) and problem.strerror:
            return problem.strerror
    return str(error)
