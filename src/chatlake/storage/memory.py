"""A lake in memory: for tests, and to show that the interface requires nothing local."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

from chatlake.errors import LakeLockedError
from chatlake.storage.interface import LockHolder, StoredFile, checked


class MemoryStorage:
    """Files in a dictionary. DuckDB cannot read them, so such a lake has no catalogue."""

    def __init__(self, location: str = "memory://lake") -> None:
        self.location = location
        self._files: dict[str, tuple[bytes, datetime]] = {}
        self._mutex = threading.Lock()
        self._holder: LockHolder | None = None

    def read(self, path: str) -> bytes:
        """Return the whole file."""
        with self._mutex:
            if checked(path) not in self._files:
                raise FileNotFoundError(path)
            return self._files[path][0]

    def create(self, path: str, data: bytes) -> bool:
        """Write a file that must not exist yet; False if it does."""
        with self._mutex:
            if checked(path) in self._files:
                return False
            self._files[path] = bytes(data), datetime.now(UTC)
            return True

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, new or in place of the old one."""
        with self._mutex:
            self._files[checked(path)] = bytes(data), datetime.now(UTC)

    @contextmanager
    def open_output(self, path: str) -> Iterator[BinaryIO]:
        """Write a large new file: it appears when the block ends well."""
        checked(path)
        with io.BytesIO() as buffer:
            yield buffer
            self.replace(path, buffer.getvalue())

    def open_input(self, path: str) -> BinaryIO:
        """Open a file to read and seek in."""
        return io.BytesIO(self.read(path))

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield every file below a folder, by path."""
        start = f"{checked(folder)}/" if folder else ""
        with self._mutex:
            found = sorted((p, f) for p, f in self._files.items() if p.startswith(start))
        for path, (data, modified_at) in found:
            yield StoredFile(path, len(data), modified_at)

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None if the file is absent."""
        with self._mutex:
            return len(self._files[path][0]) if checked(path) in self._files else None

    def sizes(self, paths: Collection[str]) -> dict[str, int]:
        """Return the sizes in bytes of those of many files that exist."""
        with self._mutex:
            return {path: len(self._files[path][0]) for path in paths if path in self._files}

    def now(self) -> datetime:
        """Return this machine's time."""
        return datetime.now(UTC)

    def move(self, moves: Mapping[str, str]) -> None:
        """Give files other paths; one that is absent is left out."""
        with self._mutex:
            for old, new in moves.items():
                if checked(old) in self._files:
                    self._files[checked(new)] = self._files.pop(old)

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens if it is absent."""
        with self._mutex:
            self._files.pop(checked(path), None)

    def local_path(self, path: str) -> str | None:
        """Return None: the file has no local path."""
        return None if checked(path) else path

    def url(self, path: str) -> str | None:
        """Return None: no other program can read the file."""
        return None if checked(path) else path

    @contextmanager
    def lock(self, holder: LockHolder) -> Iterator[None]:
        """Be the only writer inside the block."""
        with self._mutex:
            if self._holder is not None:
                raise LakeLockedError(f"{self.location} is being written by {self._holder}")
            self._holder = holder
        try:
            yield
        finally:
            self._holder = None

    def lock_holder(self) -> LockHolder | None:
        """Return who holds the lock; None if it is free."""
        return self._holder
