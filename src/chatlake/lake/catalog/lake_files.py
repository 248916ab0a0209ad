"""A lake in a bucket for DuckDB: a Python file system, so no extension is needed.

The views name every file, so nothing is searched for, and a named file never changes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

from fsspec import AbstractFileSystem

from chatlake.errors import LakeDamagedError
from chatlake.lake.files.replaced import open_listed, read_listed, size_of_listed
from chatlake.model.manifest import PartFile
from chatlake.storage.interface import READ_AHEAD_BYTES, Storage

RECENT_FILES: Final = 16
"""How many small files are kept in memory, of at most 4 MiB each."""

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LakeFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The files of one storage, under the scheme of its URLs, for DuckDB."""

    cachable = False  # fsspec would return one lake's instance for another's

    def __init__(
        self,
        storage: Storage,
        known: Mapping[str, bytes] | None = None,
        listed: Mapping[str, PartFile] | None = None,
    ) -> None:
        """`known`: the content of some files, by path, so that they are not requested.

        `listed`: the files of a commit, by path, so that the size of a small one is not requested.
        """
        super().__init__()
        self.protocol = storage.location.partition("://")[0]
        self._storage = storage
        self._known = dict(known or {})
        self._listed = listed or {}
        self._sizes: dict[str, int] = {}
        self._recent: dict[str, bytes] = {}

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the path itself."""
        return [path]

    def exists(self, path: str, **_: Any) -> bool:
        """Say whether the file is there."""
        inner = self._within(path)
        return inner in self._known or size_of_listed(self._storage, inner) is not None

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        """Open a file to read. LakeDamagedError if it is missing; LakeError if it cannot be read.

        PermissionError for any mode but `rb`.
        """
        if mode != "rb":
            raise PermissionError("a lake is only read by DuckDB")
        inner = self._within(path)
        if inner in self._known:
            return io.BytesIO(self._known[inner])
        try:
            if not self._is_small(path, inner):
                return open_listed(self._storage, inner)
            # DuckDB opens a file two or three times for one query, to plan and to read.
            data = self._recent.pop(inner, None)
            self._recent[inner] = data = read_listed(self._storage, inner) if data is None else data
            self._sizes[path] = len(data)
            for other in list(self._recent)[:-RECENT_FILES]:
                self._recent.pop(other, None)
            return io.BytesIO(data)
        except FileNotFoundError as error:
            raise LakeDamagedError(f"{path} is missing") from error

    def size(self, path: str) -> int:
        """Return the size in bytes. LakeDamagedError if the file is missing."""
        inner = self._within(path)
        if inner in self._known:
            return len(self._known[inner])
        if path not in self._sizes:
            size = size_of_listed(self._storage, inner)
            if size is None:
                raise LakeDamagedError(f"{path} is missing")
            self._sizes[path] = size
        return self._sizes[path]

    def modified(self, path: str) -> datetime:  # noqa: ARG002 - of the interface
        """Return the same instant for all files: a named file never changes."""
        return _LONG_AGO

    def _is_small(self, path: str, inner: str) -> bool:
        listed = None if path in self._sizes else self._listed.get(inner)
        return (self.size(path) if listed is None else listed.bytes) <= READ_AHEAD_BYTES

    def _within(self, path: str) -> str:
        return path.removeprefix(f"{self._storage.location}/")
