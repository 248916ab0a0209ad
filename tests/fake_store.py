"""An object store in memory with a clock that a test moves: for what takes a minute elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from chatlake import failpoints
from chatlake.failpoints import FailPointError
from chatlake.lake import Lake
from chatlake.storage.bucket.lease import LEASE_S
from chatlake.storage.bucket.object_store import Buffer, ListedObject, Refusal, Stat
from chatlake.storage.bucket.remote import RemoteStorage


class FakeStoreError(Exception):
    """What the store raises when it `refuses`."""


class FakeStore:
    """Objects in a dictionary. Compare and swap as real stores have it, unless told otherwise."""

    errors: ClassVar[tuple[type[Exception], ...]] = (OSError, FakeStoreError)
    credentials_hint: ClassVar[str] = "Log in."
    rights_hint: ClassVar[str] = "Ask for rights."
    no_version: ClassVar[str] = "none"
    reason: ClassVar[Refusal] = "other"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str, datetime]] = {}
        self.now = datetime(2026, 1, 2, tzinfo=UTC)
        self.keeps_conditions = True
        self.refuses = False
        self.loses_next_answer = False
        self.filesystem: Any = self
        self._count = 0
        self._mutex = threading.Lock()

    def twin(self) -> FakeStore:
        """Return another store with the same objects, at the same time."""
        twin = FakeStore()
        twin.objects, twin.now, twin._count = dict(self.objects), self.now, self._count
        return twin

    def put(self, key: str, data: Buffer) -> None:
        """Write an object."""
        with self._mutex:
            self._write(key, bytes(data))

    def put_if(self, key: str, data: bytes, version: str | None) -> str | None:
        """Write an object of this version."""
        with self._mutex:
            present = self.objects[key][1] if key in self.objects else None
            if self.keeps_conditions and present != version:
                return None
            written = self._write(key, data)
            if self.loses_next_answer:
                # The library tries again, and finds that the condition no longer holds.
                self.loses_next_answer = False
                return None
            return written

    def copy(self, key: str, new_key: str, size: int) -> None:
        """Write an object under a second key."""
        data = self.get(key)
        assert len(data) == size
        self.put(new_key, data)

    def stat(self, key: str) -> Stat | None:
        """Return the version of an object."""
        self._answer()
        if key not in self.objects:
            return None
        data, version, modified_at = self.objects[key]
        return Stat(version, len(data), modified_at, self.now)

    def get(self, key: str) -> bytes:
        """Return an object."""
        self._answer()
        if key not in self.objects:
            raise FileNotFoundError(key)
        return self.objects[key][0]

    def list(self, start: str) -> list[ListedObject]:
        """Return the objects below a folder."""
        self._answer()
        return [
            ListedObject(key, len(data), at)
            for key, (data, _, at) in self.objects.items()
            if key.startswith(start)
        ]

    def rm_file(self, key: str, *, timeout: float) -> None:
        """Remove an object, as fsspec does."""
        self._answer()
        del self.objects[key]

    def passes(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += timedelta(seconds=seconds)

    @staticmethod
    def refusal(error: Exception) -> Refusal:
        """Say why."""
        return FakeStore.reason if isinstance(error, FakeStoreError) else "other"

    def _answer(self) -> None:
        if self.refuses:
            raise FakeStoreError("no, not now")

    def _write(self, key: str, data: bytes) -> str:
        self._answer()
        self._count += 1
        version = f"v{self._count}"
        self.objects[key] = data, version, self.now
        return version


def lake_on(store: FakeStore) -> Lake:
    """Return a lake on a store, as one process sees it."""

    class Shared(FakeStore):
        def __new__(cls) -> FakeStore:  # type: ignore[misc]
            return store

    return Lake(RemoteStorage("s3://bucket/lake", Shared))


@contextmanager
def dying_at(store: FakeStore, point: str) -> Iterator[None]:
    """Let the block die at a fail-point, as the store sees it: nothing comes after that.

    Whatever it does while its error passes through it, the store takes no more from it. Its lease
    has expired when the block ends.
    """

    def die() -> None:
        store.refuses = True
        raise FailPointError(point)

    with pytest.raises(FailPointError), failpoints.calling(die, point):
        yield
    store.refuses = False
    store.passes(LEASE_S + 3)
