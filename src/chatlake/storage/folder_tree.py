"""Folders below a lake's own: listed, made, emptied, and flushed to the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in any order; none if the folder does not exist."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(entry.path))
        else:
            yield Path(entry.path)


def make_folder(folder: Path, root: Path, mode: int) -> None:
    """Make a folder at or below `root`, with its parents, durably. Raises OSError."""
    if folder.is_dir():
        return
    if folder == root:
        # Folders above the lake do not belong to it, so only the umask decides there.
        folder.parent.mkdir(parents=True, exist_ok=True)
    else:
        make_folder(folder.parent, root, mode)
    with suppress(FileExistsError):
        folder.mkdir(mode)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    sync_folder(folder.parent)


def remove_if_empty(folder: Path, root: Path) -> None:
    """Remove an empty folder, and its parents that are then empty, up to `root`."""
    with suppress(OSError):  # the first that is not empty
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def sync_file(file: BinaryIO) -> None:
    """Flush a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder to the disk: the names of the files in it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
