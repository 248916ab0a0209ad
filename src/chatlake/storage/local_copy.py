"""A file of a lake as a local file, wherever the lake is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatlake.errors import LakeUnwritableError
from chatlake.storage.interface import Storage


@contextmanager
def local_copy(storage: Storage, path: str) -> Iterator[str | None]:
    """Give a local path of the file.

    It is its own path, or that of a copy that is removed at the end of the block. None if the file
    is absent. LakeError; LakeUnwritableError if there is no space for a copy.
    """
    own = storage.local_path(path)
    if own is not None:
        yield own if Path(own).is_file() else None
        return
    try:
        data = storage.read(path)
    except FileNotFoundError:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="chatlake-") as folder:
        copy = Path(folder) / path.rpartition("/")[2]
        try:
            copy.write_bytes(data)
        except OSError as error:
            raise LakeUnwritableError(f"Cannot write {copy}: {error.strerror or error}") from error
        yield str(copy)
