"""What the lake needs of an object store beyond files: versions, and writes on a condition."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

import pytest

from chatlake.storage.bucket.object_store import ObjectStore
from chatlake.storage.bucket.remote import RemoteStorage
from chatlake.storage.opening import storage_at
from tests.fake_store import FakeStore


@pytest.fixture(params=["fake", "s3", "gs", "az"])
def place(request: pytest.FixtureRequest) -> str:
    """Return where objects may be put, in each cloud."""
    if request.param == "fake":
        return "fake://bucket/some/lake"
    return str(request.getfixturevalue(f"{request.param}_lake"))


@pytest.fixture
def store(place: str) -> ObjectStore:
    """Each cloud's store."""
    return store_of(place)


@pytest.fixture
def folder(place: str) -> str:
    """Return the beginning of the objects' names."""
    return place.partition("://")[2] + "/"


def store_of(place: str) -> ObjectStore:
    """Return the store that a lake there uses."""
    if place.startswith("fake"):
        return FakeStore()
    storage = storage_at(place)
    assert isinstance(storage, RemoteStorage)
    return storage._store


def test_a_new_object_is_created_once(store: ObjectStore, folder: str) -> None:
    """On condition that it is absent: the second time nothing is written."""
    version = store.put_if(f"{folder}a", b"first", None)
    assert version is not None
    assert store.put_if(f"{folder}a", b"second", None) is None
    assert store.get(f"{folder}a") == b"first"
    stat = store.stat(f"{folder}a")
    assert stat is not None
    assert (stat.version, stat.size) == (version, 5)


def test_a_version_is_replaced_once(store: ObjectStore, folder: str) -> None:
    """A write takes the place of the version that it names, and of no other."""
    key = f"{folder}a"
    first = store.put_if(key, b"first", None)
    second = store.put_if(key, b"second", first)
    assert second not in {None, first}
    assert store.put_if(key, b"late", first) is None
    assert store.put_if(key, b"late", store.no_version) is None
    assert store.get(key) == b"second"
    store.put(key, b"anyhow")
    assert store.put_if(key, b"late", second) is None
    assert store.get(key) == b"anyhow"


def test_what_is_absent_has_no_version(store: ObjectStore, folder: str) -> None:
    """No version is found there, and none is replaced."""
    assert store.stat(f"{folder}a") is None
    assert store.put_if(f"{folder}a", b"late", store.no_version) is None
    with pytest.raises(FileNotFoundError):
        store.get(f"{folder}a")


def test_of_many_that_replace_one_wins(store: ObjectStore, folder: str) -> None:
    """Of eight writers who have seen the same version exactly one replaces it."""
    key = f"{folder}a"
    seen = store.put_if(key, b"", None)
    start = threading.Barrier(8)
    won: list[bytes] = []

    def write(data: bytes) -> None:
        start.wait()
        if store.put_if(key, data, seen) is not None:
            won.append(data)

    threads = [threading.Thread(target=write, args=(b"%d" % i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [store.get(key)]


def test_a_version_has_its_time_by_the_stores_clock(store: ObjectStore, folder: str) -> None:
    """When it was written and what time it is there differ by little."""
    store.put(f"{folder}a", b"x")
    stat = store.stat(f"{folder}a")
    assert stat is not None
    assert abs(stat.now - stat.modified_at) < timedelta(seconds=5)


def test_a_list_shows_what_lies_below_a_folder(store: ObjectStore, folder: str) -> None:
    """Neither an object of the folder's own name nor one beside it is in the list."""
    for key in (folder[:-1], f"{folder[:-1]}-2/a", f"{folder}a", f"{folder}b/c"):
        store.put(key, b"xy")
    found = sorted(store.list(folder), key=lambda listed: listed.key)
    assert [(listed.key, listed.size) for listed in found] == [
        (f"{folder}a", 2),
        (f"{folder}b/c", 2),
    ]
    assert list(store.list(f"{folder}none/")) == []


def test_a_list_of_several_pages_is_whole(gs_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's list is asked for to its end."""
    store = store_of(gs_lake)
    folder = gs_lake.partition("://")[2] + "/"
    for number in range(5):
        store.put(f"{folder}{number}", b"")
    short = partial(store.filesystem.call, maxResults=2)
    monkeypatch.setattr(store.filesystem, "call", short)
    assert [listed.key for listed in store.list(folder)] == [f"{folder}{i}" for i in range(5)]
