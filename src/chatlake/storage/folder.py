"""A lake in a folder of this machine.

Order of a write: temporary name, flush, fsync, then one atomic step that gives the final name
(rename, or a hard link where the name must be new), then fsync of the folder. So a file has its
final name only when all of its bytes are on the disk.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal

from chatlake import failpoints
from chatlake.errors import (
    LakeDamagedError,
)
from chatlake.storage.file_errors import reading, writing
from chatlake.storage.folder_lock import LocalLock
from chatlake.storage.folder_tree import make_folder, remove_if_empty, sync_file, sync_folder, walk
from chatlake.storage.interface import TEMPORARY_SUFFIX, LockHolder, StoredFile, checked, step_of

Access = Literal["private", "group"]

# Folders and files; the process's umask can narrow them further, but nothing widens them.
_MODES: Final[dict[str, tuple[int, int]]] = {"private": (0o700, 0o600), "group": (0o750, 0o640)}
_LOCK: Final = ".lock"
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalStorage:
    """Files below a folder, which is made when the first file is written."""

    def __init__(self, location: str | os.PathLike[str], access: Access = "private") -> None:
        # The resolved name: the catalogue notices a moved lake by it, whatever link leads there.
        self._root = Path(os.path.realpath(location))
        self.location = str(self._root)
        self._folder_mode, self._file_mode = _MODES[access]
        self._lock: LocalLock | None = None

    def read(self, path: str) -> bytes:
        """Return the whole file."""
        with self.open_input(path) as file, reading(self._at(path)):
            return file.read()

    def create(self, path: str, data: bytes) -> bool:
        """Write a file that must not exist yet; False if it does.

        On a file system without hard links the lake's lock alone keeps two writers apart.
        """
        target = self._at(path)
        step = step_of(path)
        with writing(target):
            temporary = self._write_temporary(target, data, step)
            try:
                try:
                    os.link(temporary, target)
                except FileExistsError:
                    return False
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    if target.exists():
                        return False
                    temporary.rename(target)
                failpoints.reach(f"{step}.linked")
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(target.parent)
            failpoints.reach(f"{step}.folder_synced")
        return True

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, new or in place of the old one; readers of the old one keep it."""
        target = self._at(path)
        step = step_of(path)
        with writing(target):
            temporary = self._write_temporary(target, data, step)
            try:
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            failpoints.reach("catalog.swapped" if step == "catalog" else f"{step}.renamed")
            sync_folder(target.parent)
            failpoints.reach(f"{step}.folder_synced")

    @contextmanager
    def open_output(self, path: str) -> Iterator[BinaryIO]:
        """Write a large new file: it appears when the block ends well, else nothing is left."""
        target = self._at(path)
        step = step_of(path)
        with writing(target):
            temporary = self._temporary_beside(target)
            try:
                with self._open_new(temporary) as file:
                    yield file
                    failpoints.reach(f"{step}.written")
                    sync_file(file)
                failpoints.reach(f"{step}.synced")
                temporary.rename(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            failpoints.reach(f"{step}.renamed")
            sync_folder(target.parent)
            failpoints.reach(f"{step}.folder_synced")

    def open_input(self, path: str) -> BinaryIO:
        """Open a file to read and seek in."""
        target = self._at(path)
        with reading(target):
            return target.open("rb")

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield every file below a folder, temporary ones too, by path."""
        start = self._at(folder) if folder else self._root
        with reading(start):
            found = sorted(walk(start))
        for path in found:
            try:
                with reading(path):
                    status = path.stat()
            except FileNotFoundError:  # removed meanwhile
                continue
            modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
            yield StoredFile(path.relative_to(self._root).as_posix(), status.st_size, modified_at)

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None if the file is absent."""
        target = self._at(path)
        try:
            with reading(target):
                return target.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sizes(self, paths: Collection[str]) -> dict[str, int]:
        """Return the sizes in bytes of those of many files that exist."""
        found = {path: self.size(path) for path in paths}
        return {path: size for path, size in found.items() if size is not None}

    def now(self) -> datetime:
        """Return this machine's time."""
        return datetime.now(UTC)

    def move(self, moves: Mapping[str, str]) -> None:
        """Give files other paths, and remove folders left empty; one that is absent is left out.

        Each folder is flushed once, however many files of it move.
        """
        folders: set[Path] = set()
        for old, new in moves.items():
            source, target = self._at(old), self._at(new)
            with writing(target):
                self._require_lock_in_place()
                make_folder(target.parent, self._root, self._folder_mode)
                with suppress(FileNotFoundError):
                    source.rename(target)
            failpoints.reach("tidying.moved")
            folders |= {source.parent, target.parent}
        for folder in sorted(folders):
            with writing(folder), suppress(FileNotFoundError):
                sync_folder(folder)
            remove_if_empty(folder, self._root)

    def delete(self, path: str) -> None:
        """Remove a file, and folders that it leaves empty; nothing happens if it is absent."""
        target = self._at(path)
        with writing(target):
            self._require_lock_in_place()
            target.unlink(missing_ok=True)
        remove_if_empty(target.parent, self._root)

    def local_path(self, path: str) -> str | None:
        """Return the absolute path."""
        return str(self._at(path))

    def url(self, path: str) -> str | None:
        """Return the absolute path: DuckDB reads it from any working directory."""
        return str(self._at(path))

    @contextmanager
    def lock(self, holder: LockHolder) -> Iterator[None]:
        """Be the only writer inside the block."""
        with writing(self._root):
            make_folder(self._root, self._root, self._folder_mode)
            self._lock = lock = LocalLock.take(self._root / _LOCK, holder, self._file_mode)
        try:
            yield
        finally:
            self._lock = None
            lock.release()

    def lock_holder(self) -> LockHolder | None:
        """Return who holds the lock; None if it is free."""
        with reading(self._root):
            return LocalLock.holder(self._root / _LOCK)

    def _at(self, path: str) -> Path:
        return self._root / checked(path)

    def _temporary_beside(self, target: Path) -> Path:
        self._require_lock_in_place()
        make_folder(target.parent, self._root, self._folder_mode)
        return target.parent / f"_{uuid.uuid4()}{TEMPORARY_SUFFIX}"

    def _require_lock_in_place(self) -> None:
        """Raise LakeDamagedError if the folder is not the one that was locked.

        Data written there would be lost: commits that continue the old numbers in an empty folder
        do not form a lake.
        """
        if self._lock is not None and not self._lock.is_at(self._root / _LOCK):
            raise LakeDamagedError(
                f"{self._root} was removed, moved or replaced while this run was writing to it",
                hint="Put it back; `chatlake backup --new-lake` creates a new lake there.",
            )

    def _open_new(self, path: Path) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, self._file_mode), "wb")

    def _write_temporary(self, target: Path, data: bytes, step: str) -> Path:
        temporary = self._temporary_beside(target)
        try:
            with self._open_new(temporary) as file:
                file.write(data)
                failpoints.reach(f"{step}.written")
                sync_file(file)
            failpoints.reach(f"{step}.synced")
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary
