"""Large objects: read range by range, and collected on the disk before they are sent."""

from __future__ import annotations

import io
import mmap
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from chatlake.errors import ChatlakeError, LakeUnwritableError
from chatlake.storage.bucket.object_store import (
    LARGE_BYTES,
    Buffer,
)


class RemoteInput(io.RawIOBase):
    """Reads ranges with `fetch(start, end)`, whose errors reach the reader."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Return True: ranges can be read."""
        return True

    def seekable(self) -> bool:
        """Return True: the next range may begin anywhere."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position; OSError for one before the beginning."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("cannot seek before the beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Read into the buffer, as much as fits and is left."""
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        data = self._fetch(self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


@contextmanager
def gathering(path: str, location: str) -> Iterator[BinaryIO]:
    """Give a nameless temporary file that leaves nothing behind.

    LakeUnwritableError if the block cannot write it, for example on a full disk.
    """
    try:
        with tempfile.TemporaryFile(prefix="chatlake-") as file:
            yield cast("BinaryIO", file)
    except ChatlakeError:
        raise
    except OSError as error:
        raise LakeUnwritableError(
            f"Cannot gather {location}/{path} in a temporary file: {error.strerror or error}",
            hint=f"Free space in {tempfile.gettempdir()}, or set TMPDIR to another folder.",
        ) from error


@contextmanager
def content(file: BinaryIO) -> Iterator[Buffer]:
    """Give a file's bytes; large ones stay on the disk until they are sent."""
    size = file.seek(0, io.SEEK_END)
    if size < LARGE_BYTES:
        file.seek(0)
        yield file.read()
        return
    # Not closed: a run that is interrupted may leave a request behind that still reads from it.
    yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
