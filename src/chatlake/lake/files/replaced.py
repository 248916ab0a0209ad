"""Where a data file is: at its own path, or below `replaced/` once no manifest lists it.

So a plain glob over a table's folder finds what the newest manifest lists, and nothing else. A
reader that still works on an older commit finds moved files there.
"""

from __future__ import annotations

import io
from typing import BinaryIO, Final

from chatlake.storage.interface import READ_AHEAD_BYTES, Storage

FOLDER: Final = "replaced"


def replaced_path(path: str) -> str:
    """Return the path below `replaced/` for a file that had this path while it was listed."""
    return f"{FOLDER}/{path}"


def listed_path(path: str) -> str:
    """Return the path that a file has, or had, while it was listed."""
    return path.removeprefix(f"{FOLDER}/")


def open_listed(storage: Storage, path: str, size: int | None = None) -> BinaryIO:
    """Open a file that some commit lists, wherever it is. FileNotFoundError if nowhere.

    `size`: the bytes that were committed. With it, a small file of a bucket takes one request: its
    size is not asked for first.
    """
    if size is not None and size <= READ_AHEAD_BYTES and storage.local_path(path) is None:
        return io.BytesIO(read_listed(storage, path))
    try:
        return storage.open_input(path)
    except FileNotFoundError:
        return storage.open_input(replaced_path(path))


def read_listed(storage: Storage, path: str) -> bytes:
    """Return a file that some commit lists, wherever it is. FileNotFoundError if nowhere."""
    try:
        return storage.read(path)
    except FileNotFoundError:
        return storage.read(replaced_path(path))


def url_of_listed(storage: Storage, path: str) -> str | None:
    """Return the name by which DuckDB reads a file that some commit lists, where it is now."""
    moved = storage.local_path(path) is not None and storage.size(path) is None
    return storage.url(replaced_path(path) if moved else path)


def size_of_listed(storage: Storage, path: str) -> int | None:
    """Return the size in bytes of a file that some commit lists; None if it is nowhere."""
    size = storage.size(path)
    return storage.size(replaced_path(path)) if size is None else size
