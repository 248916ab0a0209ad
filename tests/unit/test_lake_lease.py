"""The lock of a lake in a bucket: a lease that is renewed, runs out, and may be taken over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest

from chatlake.errors import LakeError, LakeLockedError, LakeUnwritableError
from chatlake.storage.bucket.lease import LeaseRecord
from chatlake.storage.bucket.remote import RemoteStorage
from chatlake.storage.interface import LockHolder
from chatlake.storage.this_machine import machine_id, process_start
from tests.fake_store import FakeStore

KEY = "bucket/lake/lock.json"
MINE = LockHolder("here", os.getpid(), "2026-01-02T03:04:05.000000Z", "run-1")
OTHER = LeaseRecord("there", 42, "2026-01-02T00:00:00.000000Z", "run-2", token="t", lease_s=60)


@pytest.fixture
def store() -> FakeStore:
    """A store without objects."""
    return FakeStore()


def storage_on(store: FakeStore, lease_s: float = 60) -> RemoteStorage:
    """Return the lake's place on it, as one process sees it."""

    class Shared(FakeStore):
        def __new__(cls) -> FakeStore:  # type: ignore[misc]
            return store

    return RemoteStorage("s3://bucket/lake", Shared, lease_s=lease_s)


@pytest.fixture
def storage(store: FakeStore) -> RemoteStorage:
    """The lake's place."""
    return storage_on(store)


@pytest.fixture
def held(storage: RemoteStorage) -> Iterator[ExitStack]:
    """Hold the lock; closing the stack frees it."""
    with ExitStack() as stack:
        stack.enter_context(storage.lock(MINE))
        yield stack


def record(store: FakeStore) -> LeaseRecord:
    """Return what the lock's object says."""
    return msgspec.json.decode(store.objects[KEY][0], type=LeaseRecord)


def put(store: FakeStore, other: LeaseRecord) -> None:
    """Let another process write the lock's object."""
    store.put(KEY, msgspec.json.encode(other))


def test_it_says_who_holds_it_and_until_when(store: FakeStore, held: ExitStack) -> None:
    """Host, process, start, run, a token and an end; once free, no token."""
    found = record(store)
    assert found.holder == MINE
    assert (found.lease_s, len(found.token)) == (60, 36)
    assert found.expires_at > "2026"
    held.close()
    assert record(store).token == ""


def test_a_lease_in_force_is_respected(store: FakeStore, storage: RemoteStorage) -> None:
    """Another machine's is refused while it is renewed, with its holder and when it would end."""
    put(store, OTHER)
    store.passes(61)
    with pytest.raises(LakeLockedError, match="process 42 on there, since") as caught:
        storage.lock(MINE).__enter__()
    assert "run run-2" in caught.value.message
    assert "60 s" in caught.value.hint
    assert storage.lock_holder() == OTHER.holder


def test_one_that_ran_out_is_taken_over(store: FakeStore, storage: RemoteStorage) -> None:
    """By the store's clock: what the holder wrote down as the end does not matter."""
    put(store, msgspec.structs.replace(OTHER, expires_at="2999-01-01T00:00:00.000000Z"))
    store.passes(63)
    assert storage.lock_holder() is None
    with storage.lock(MINE):
        assert storage.lock_holder() == MINE


@pytest.mark.skipif(not machine_id(), reason="needs /proc")
@pytest.mark.parametrize("number", [2**22 + 1, os.getpid()], ids=["gone", "of another"])
def test_that_of_a_dead_process_of_this_machine_is_free_at_once(
    store: FakeStore, storage: RemoteStorage, number: int
) -> None:
    """Its number may be another's by now: the start tells."""
    dead = {"pid": number, "machine": machine_id(), "process_start": "1"}
    put(store, msgspec.structs.replace(OTHER, **dead))
    assert storage.lock_holder() is None
    with storage.lock(MINE):
        pass


@pytest.mark.skipif(not machine_id(), reason="needs /proc")
def test_that_of_a_living_process_of_this_machine_is_not(
    store: FakeStore, storage: RemoteStorage
) -> None:
    """Neither is that of a process with the same number on another machine."""
    alive = {"pid": os.getpid(), "process_start": process_start(os.getpid())}
    for machine, start in ((machine_id(), alive["process_start"]), ("another", "1")):
        found = {**alive, "machine": machine, "process_start": start}
        put(store, msgspec.structs.replace(OTHER, **found))
        with pytest.raises(LakeLockedError):
            storage.lock(MINE).__enter__()


def test_of_two_that_take_it_over_one_gets_it(store: FakeStore) -> None:
    """The one that looked before the other wrote is refused: its write depends on what it saw."""
    put(store, OTHER)
    store.passes(63)
    first, second = storage_on(store), storage_on(store)
    swap = store.put_if
    with ExitStack() as stack:

        def overtaken(key: str, data: bytes, version: str | None) -> str | None:
            store.put_if = swap  # type: ignore[method-assign]
            stack.enter_context(first.lock(MINE))
            return swap(key, data, version)

        store.put_if = overtaken  # type: ignore[method-assign]
        with pytest.raises(LakeLockedError, match="on here"):
            second.lock(LockHolder("late", 7, "")).__enter__()
        assert record(store).holder == MINE


def test_a_run_whose_lease_was_taken_over_commits_no_more(
    store: FakeStore, storage: RemoteStorage, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says by whom, before anything is written; and it frees nothing that is not its own."""
    put(store, OTHER)
    clock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda kind: clock(kind) + 100)  # it was asleep
    for write in (
        lambda: storage.create("manifests/1.json", b"{}"),
        lambda: storage.replace("catalog.duckdb", b""),
        lambda: storage.delete("manifests/1.json"),
    ):
        with pytest.raises(LakeLockedError, match="taken over by process 42 on there") as caught:
            write()
    assert caught.value.exit_code == 8
    held.close()
    assert list(store.objects) == [KEY]
    assert record(store) == OTHER


def test_one_that_slept_and_was_not_missed_goes_on(
    store: FakeStore, storage: RemoteStorage, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that has run out, and that nobody took, is renewed before the next commit."""
    store.passes(1000)
    assert storage.lock_holder() is None
    clock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda kind: clock(kind) + 1000)
    assert storage.create("manifests/1.json", b"{}")
    assert storage.lock_holder() == MINE


def test_it_is_renewed_while_it_is_held(store: FakeStore) -> None:
    """A thread writes a new version three times in its length."""
    with storage_on(store, lease_s=0.15).lock(MINE):
        end = time.monotonic() + 10
        while record(store).renewals < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert record(store).token == ""


def test_a_passing_failure_of_a_renewal_ends_nothing(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged, and the renewal is tried again."""
    with storage_on(store, lease_s=0.15).lock(MINE):
        store.refuses = True
        end = time.monotonic() + 10
        while not caplog.records:
            assert time.monotonic() < end
            time.sleep(0.01)
        store.refuses = False
        while record(store).renewals < 1:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert "could not be renewed" in caplog.text


def test_a_store_that_ignores_conditions_is_refused(
    store: FakeStore, storage: RemoteStorage
) -> None:
    """On such a store two runs could overwrite each other's commits: no run starts."""
    store.keeps_conditions = False
    with pytest.raises(LakeUnwritableError, match="does not support conditional writes"):
        storage.lock(MINE).__enter__()


def test_a_write_whose_answer_was_lost_counts(store: FakeStore, storage: RemoteStorage) -> None:
    """The lock, and a manifest, that were written although the store says no are known again."""
    store.loses_next_answer = True
    with storage.lock(MINE):
        store.loses_next_answer = True
        assert storage.create("manifests/1.json", b"mine") is True
        assert storage.create("manifests/1.json", b"other") is False
    assert record(store).token == ""


def test_a_lock_that_cannot_be_read_ends_by_itself(
    store: FakeStore, storage: RemoteStorage
) -> None:
    """Nobody knows whose it is: it is respected for the length of a lease."""
    store.put(KEY, b"{")
    with pytest.raises(LakeLockedError, match="unknown host"):
        storage.lock(MINE).__enter__()
    store.passes(63)
    with storage.lock(MINE):
        pass


@pytest.mark.parametrize(
    ("reason", "told", "advice"),
    [
        ("credentials", "no valid credentials", "Log in"),
        ("bucket", "there is no bucket bucket", "Create the bucket"),
        ("denied", "a permission is missing", "Ask for rights"),
        ("unreachable", "no connection", "network"),
        ("unsupported", "cannot do this", "conditional writes"),
        ("other", "no, not now", ""),
    ],
)
def test_a_refusal_is_one_error_with_a_remedy(
    store: FakeStore,
    storage: RemoteStorage,
    monkeypatch: pytest.MonkeyPatch,
    *,
    reason: str,
    told: str,
    advice: str,
) -> None:
    """Reading and writing say which place, why, and what to do."""
    monkeypatch.setattr(FakeStore, "reason", reason)
    store.refuses = True
    with pytest.raises(LakeUnwritableError, match=told) as writing:
        storage.create("manifests/1.json", b"{}")
    with pytest.raises(LakeError, match=told) as reading:
        list(storage.list("manifests"))
    assert "s3://bucket/lake/manifests/1.json" in writing.value.message
    for caught in (writing, reading):
        assert advice in caught.value.hint
