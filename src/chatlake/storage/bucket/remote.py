"""A lake in a bucket of an object store, by fsspec.

An object appears when its upload is complete, so there are no temporary names. New objects are
created under the store's own condition. Listings are never cached, because a stale one would lose
commits.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final, cast

from chatlake import failpoints
from chatlake.errors import LakeError, LakeUnreachableError, LakeUnwritableError
from chatlake.storage.bucket.lease import LEASE_S, Lease
from chatlake.storage.bucket.object_store import (
    ANSWER_S,
    ObjectStore,
    explain,
    is_absence,
    why_refused,
)
from chatlake.storage.bucket.transfer import RemoteInput, content, gathering
from chatlake.storage.interface import (
    READ_AHEAD_BYTES,
    LockHolder,
    StoredFile,
    checked,
    step_of,
)

LOCK: Final = "lock.json"


class RemoteStorage:
    """Objects whose names begin with the lake's: `s3://bucket/lake`.

    `store` is called in each process that uses it: connections do not survive a fork.
    """

    def __init__(
        self, location: str, store: type[ObjectStore], *, lease_s: float = LEASE_S
    ) -> None:
        self.location = location
        self._root = location.partition("://")[2]
        self._kind = store
        self._lease_s = lease_s
        self._lease: Lease | None = None
        self._opened: tuple[int, ObjectStore] | None = None

    def read(self, path: str) -> bytes:
        """Return the whole file."""
        key = self._key(path)
        with self._reading(path):
            return self._store.get(key)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file that must not exist yet; False if it does.

        If several writers write the same bytes, more than one may get True. LakeLockedError if the
        lock that this process holds was taken over.
        """
        key = self._key(path)
        step = step_of(path)
        with self._writing(path):
            self._require_lease()
            failpoints.reach(f"{step}.written")
            version = self._store.put_if(key, data, None)
            # It may be our own write: its response was lost, and the library wrote again.
            if version is None and self.read(path) != data:
                return False
            failpoints.reach(f"{step}.linked")
        return True

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, new or in place of the old one; readers of the old one keep it."""
        key = self._key(path)
        step = step_of(path)
        with self._writing(path):
            self._require_lease()
            failpoints.reach(f"{step}.written")
            self._store.put(key, data)
            failpoints.reach("catalog.swapped" if step == "catalog" else f"{step}.renamed")

    @contextmanager
    def open_output(self, path: str) -> Iterator[BinaryIO]:
        """Write a large new file: it appears when the block ends well, else nothing is left.

        It is gathered in a nameless temporary file, of which nothing is ever left.
        """
        key = self._key(path)
        step = step_of(path)
        with gathering(path, self.location) as file:
            yield file
            file.flush()
            failpoints.reach(f"{step}.written")
            with self._writing(path), content(file) as data:
                self._store.put(key, data)
            failpoints.reach(f"{step}.renamed")

    def open_input(self, path: str) -> BinaryIO:
        """Open a file to read and seek in; a small one is read at once."""
        key = self._key(path)
        size = self.size(path)
        if size is None:
            raise FileNotFoundError(path)
        if size <= READ_AHEAD_BYTES:
            return io.BytesIO(self.read(path))

        def fetch(start: int, end: int) -> bytes:
            with self._reading(path):
                found = self._store.filesystem.cat_file(key, start=start, end=end, timeout=ANSWER_S)
                return bytes(found)

        return cast("BinaryIO", io.BufferedReader(RemoteInput(fetch, size), READ_AHEAD_BYTES))

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield every file below a folder, by path."""
        start = f"{self._key(folder)}/" if folder else f"{self._root}/"
        with self._reading(folder, only_bucket=True):
            found = sorted(self._store.list(start), key=lambda listed: listed.key)
        for listed in found:
            if not listed.key.endswith("/"):  # a folder marker, as some programs write it
                path = listed.key.removeprefix(f"{self._root}/")
                yield StoredFile(path, listed.size, listed.modified_at)

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None if the file is absent."""
        key = self._key(path)
        try:
            with self._reading(path):
                stat = self._store.stat(key)
        except FileNotFoundError:
            return None
        return None if stat is None else stat.size

    def sizes(self, paths: Collection[str]) -> dict[str, int]:
        """Return the sizes of those files that exist, by listing instead of a request for each."""
        wanted = set(paths)
        folders = sorted({path.partition("/")[0] for path in wanted if "/" in path})
        found: dict[str, int | None] = {p: self.size(p) for p in wanted if "/" not in p}
        found.update((f.path, f.size) for folder in folders for f in self.list(folder))
        return {path: size for path, size in found.items() if path in wanted and size is not None}

    def now(self) -> datetime:
        """Return the store's time; this machine's if no run has ever left a lock."""
        with self._reading(LOCK):
            stat = self._store.stat(self._key(LOCK))
        # A response's time is cut to the second, an object's may not be.
        return datetime.now(UTC) if stat is None else stat.now + timedelta(seconds=1)

    def move(self, moves: Mapping[str, str]) -> None:
        """Give files other paths; one that is absent is left out.

        Stores have no rename: each file is copied, and removed when the copy has its size.
        """
        for old, new in moves.items():
            size = self.size(old)
            if size is None:
                continue
            with self._writing(new):
                self._require_lease()
                self._store.copy(self._key(old), self._key(new), size)
            failpoints.reach("tidying.copied")
            if self.size(new) != size:
                raise LakeUnwritableError(f"{self.location}/{new} is incomplete after a copy")
            self.delete(old)
            failpoints.reach("tidying.moved")

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens if it is absent."""
        key = self._key(path)
        try:
            with self._writing(path, absent_is_fine=True):
                self._require_lease()
                self._store.filesystem.rm_file(key, timeout=ANSWER_S)
        except FileNotFoundError:
            return

    def local_path(self, path: str) -> str | None:
        """Return None: a file in a bucket has no local path."""
        return None if checked(path) else path

    def url(self, path: str) -> str | None:
        """Return the address, which DuckDB's own extensions can also read."""
        return f"{self.location}/{checked(path)}"

    @contextmanager
    def lock(self, holder: LockHolder) -> Iterator[None]:
        """Be the only writer inside the block: a lease, see `lease`."""
        with self._writing(LOCK):
            lease = Lease.take(self._store, self._key(LOCK), self.location, holder, self._lease_s)
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None
            lease.release()

    def lock_holder(self) -> LockHolder | None:
        """Return who holds the lock; None if it is free."""
        with self._reading(LOCK):
            return Lease.holder(self._store, self._key(LOCK))

    @property
    def _store(self) -> ObjectStore:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), self._kind()
        return self._opened[1]

    def _key(self, path: str) -> str:
        return f"{self._root}/{checked(path)}"

    def _require_lease(self) -> None:
        if self._lease is not None and self._lease.is_own:
            self._lease.confirm()

    @contextmanager
    def _writing(self, path: str, *, absent_is_fine: bool = False) -> Iterator[None]:
        try:
            yield
        except self._kind.errors as error:
            if absent_is_fine and is_absence(error, self._kind):
                raise
            reason, hint = explain(error, self._kind, self.location)
            raise LakeUnwritableError(
                f"Cannot write {self.location}/{path}: {reason}", hint=hint
            ) from error

    @contextmanager
    def _reading(self, path: str, *, only_bucket: bool = False) -> Iterator[None]:
        try:
            yield
        except self._kind.errors as error:
            if not only_bucket and is_absence(error, self._kind):
                raise
            place = f"{self.location}/{path}".rstrip("/")
            reason, hint = explain(error, self._kind, self.location)
            kind = LakeError if why_refused(error, self._kind) == "other" else LakeUnreachableError
            raise kind(f"Cannot read {place}: {reason}", hint=hint) from error
