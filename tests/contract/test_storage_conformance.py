"""One suite for every place where a lake may lie."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatlake.errors import LakeError, LakeLockedError
from chatlake.storage.folder import LocalStorage
from chatlake.storage.interface import LockHolder, Storage
from chatlake.storage.memory import MemoryStorage
from chatlake.storage.opening import storage_at

HOLDER = LockHolder("here", 42, "2026-01-02T03:04:05.000000Z", "run-1")


@pytest.fixture(params=["memory", "local", "s3", "gs", "az"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Each kind of storage, empty."""
    match request.param:
        case "memory":
            return MemoryStorage()
        case "local":
            return LocalStorage(tmp_path / "lake")
        case cloud:
            return storage_at(request.getfixturevalue(f"{cloud}_lake"))


def test_what_is_replaced_is_read(storage: Storage) -> None:
    """`replace` writes a new file and another in place of it."""
    storage.replace("a/b.json", b"one")
    storage.replace("a/b.json", b"two")
    assert storage.read("a/b.json") == b"two"
    assert storage.size("a/b.json") == 3


def test_create_never_overwrites(storage: Storage) -> None:
    """The second `create` of a name says False and changes nothing."""
    assert storage.create("manifests/1.json", b"first") is True
    assert storage.create("manifests/1.json", b"second") is False
    assert storage.read("manifests/1.json") == b"first"
    assert [file.path for file in storage.list()] == ["manifests/1.json"]


def test_of_many_creators_one_wins(storage: Storage) -> None:
    """Of eight writers of one name at once exactly one learns that it wrote the file."""
    start = threading.Barrier(8)
    won: list[bytes] = []

    def write(name: bytes) -> None:
        start.wait()
        if storage.create("manifests/1.json", name):
            won.append(name)

    threads = [threading.Thread(target=write, args=(b"%d" % i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [storage.read("manifests/1.json")]


def test_an_absent_file_is_a_file_not_found_error(storage: Storage) -> None:
    """`read` and `open_input` raise FileNotFoundError; `size` is None; `delete` does nothing."""
    with pytest.raises(FileNotFoundError):
        storage.read("a/b")
    with pytest.raises(FileNotFoundError):
        storage.open_input("a/b")
    assert storage.size("a/b") is None
    storage.delete("a/b")


def test_an_output_appears_when_it_is_complete(storage: Storage) -> None:
    """A file under way cannot be read by its name; afterwards it can, with every byte."""
    with storage.open_output("t/x.parquet") as file:
        file.write(b"abc")
        assert storage.size("t/x.parquet") is None
        file.write(b"def")
    assert storage.read("t/x.parquet") == b"abcdef"
    assert [found.path for found in storage.list()] == ["t/x.parquet"]


def test_a_failed_output_leaves_nothing(storage: Storage) -> None:
    """When the block fails neither the file nor a temporary one is left."""

    def fail() -> None:
        with storage.open_output("t/x.parquet") as file:
            file.write(b"abc")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(storage.list()) == []


def test_an_input_can_seek(storage: Storage) -> None:
    """`open_input` gives a file that reads from anywhere."""
    storage.replace("x", b"0123456789")
    with storage.open_input("x") as file:
        file.seek(-3, 2)
        assert file.read() == b"789"


def test_listing_is_recursive_sorted_and_whole_folders(storage: Storage) -> None:
    """`list` yields the files below a folder by path, with size and time, and no others."""
    for path in ("b/2", "a/1", "a/c/3", "ab/4"):
        storage.replace(path, b"x" * len(path))
    assert [file.path for file in storage.list()] == ["a/1", "a/c/3", "ab/4", "b/2"]
    found = list(storage.list("a"))
    assert [(file.path, file.size) for file in found] == [("a/1", 3), ("a/c/3", 5)]
    assert all(abs(datetime.now(UTC) - file.modified_at) < timedelta(minutes=1) for file in found)
    assert list(storage.list("none")) == []


def test_sizes_of_many_at_once(storage: Storage) -> None:
    """`sizes` gives those that exist, also of no bytes, and leaves the others out."""
    storage.replace("a/b/1", b"x")
    storage.replace("a/2", b"")
    storage.replace("c", b"xyz")
    assert storage.sizes(["a/b/1", "a/2", "a/3", "c", "d/4"]) == {"a/b/1": 1, "a/2": 0, "c": 3}
    assert storage.sizes([]) == {}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's, of others
def test_a_large_output_arrives_whole(storage: Storage) -> None:
    """What is larger than any buffer is read back byte for byte, from any place."""
    block = bytes(range(256)) * 4096
    with storage.open_output("t/large.parquet") as file:
        for number in range(20):
            file.write(bytes([number]) + block)
    with storage.open_input("t/large.parquet") as file:
        file.seek((len(block) + 1) * 13)
        assert file.read(1 + len(block)) == bytes([13]) + block
        file.seek(-5, 2)
        assert file.read() == block[-5:]
    assert storage.size("t/large.parquet") == 20 * (len(block) + 1)


def test_deleted_is_gone(storage: Storage) -> None:
    """`delete` removes one file and no other."""
    storage.replace("a/1", b"")
    storage.replace("a/2", b"")
    storage.delete("a/1")
    assert [file.path for file in storage.list()] == ["a/2"]


@pytest.mark.sample(9)
@pytest.mark.parametrize("path", ["", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a\\b"])
def test_a_path_cannot_leave_the_lake(storage: Storage, path: str) -> None:
    """No operation takes a path that is absolute, empty in a part, or climbs."""
    with pytest.raises(LakeError):
        storage.read(path)
    with pytest.raises(LakeError):
        storage.create(path, b"")
    with pytest.raises(LakeError):
        storage.replace(path, b"")
    with pytest.raises(LakeError):
        storage.delete(path)
    with pytest.raises(LakeError), storage.open_output(path):
        pass
    assert list(storage.list()) == []


def test_the_lock_keeps_a_second_one_out_and_names_the_first(storage: Storage) -> None:
    """While it is held another is refused, with the holder's host, process and start."""
    with storage.lock(HOLDER):
        assert storage.lock_holder() == HOLDER
        with (
            pytest.raises(LakeLockedError, match=r"42 on here, since 2026-01-02T03:04:05"),
            storage.lock(LockHolder("there", 1, "")),
        ):
            pass
    assert storage.lock_holder() is None


def test_the_lock_is_free_after_a_failure(storage: Storage) -> None:
    """A block that raises frees the lock."""
    with pytest.raises(KeyError), storage.lock(HOLDER):
        raise KeyError
    with storage.lock(HOLDER):
        pass
