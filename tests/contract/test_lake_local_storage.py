"""What only a folder of this machine can do: permissions, fork, and errors of the disk."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatlake import failpoints
from chatlake.errors import LakeError, LakeUnwritableError
from chatlake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.storage.folder import Access, LocalStorage
from chatlake.storage.interface import LockHolder
from tests import lake_rows as rows

HOLDER = LockHolder("here", 42, "2026-01-02T03:04:05.000000Z")


@pytest.fixture(params=[0o000, 0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run under each of these umasks."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("access", "folder", "file"), [("private", 0o700, 0o600), ("group", 0o750, 0o640)]
)
def test_everything_in_a_lake_has_the_mode_of_its_access(
    tmp_path: Path, umask: int, access: Access, folder: int, file: int
) -> None:
    """Folders, parts, manifests and catalogue get the mode of `access`, less the umask.

    But for the lock, which only its owner may open.
    """
    lake = Lake.open(tmp_path / "lake", access=access, create=True)
    with lake.lock():
        key = ("completions", rows.DAY)
        parts = lake.write_parts({key: rows.columns("completions", [rows.completion("a")])})
        lake.commit(Manifest(added=parts))
    modes = {p: p.stat() for p in [tmp_path / "lake", *(tmp_path / "lake").rglob("*")]}
    assert len(modes) > 10
    for path, status in modes.items():
        wanted = folder if stat.S_ISDIR(status.st_mode) else file
        if path.name == ".lock":
            wanted = 0o600
        assert stat.S_IMODE(status.st_mode) == wanted & ~umask, path


def test_a_reader_of_the_group_cannot_keep_backups_out(tmp_path: Path) -> None:
    """Anyone who can open the lock file can lock it, so only its owner can, in old lakes too."""
    lock = tmp_path / "lake" / ".lock"
    storage = LocalStorage(tmp_path / "lake", "group")
    with storage.lock(HOLDER):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    lock.chmod(0o640)  # as an older version made it
    with storage.lock(HOLDER):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_reader_of_the_group_sees_who_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission to open the lock, a live holder is still named."""
    root = tmp_path / "lake"
    writer = LockHolder(socket.gethostname(), os.getpid(), HOLDER.started_at)
    as_it_is = os.open

    def may_not(path: Any, *more: Any, **options: Any) -> int:
        if str(path).endswith(".lock") and more[0] & os.O_ACCMODE == os.O_RDONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return as_it_is(path, *more, **options)

    monkeypatch.setattr(os, "open", may_not)
    storage = LocalStorage(root, "group")
    reader = LocalStorage(root, "group")
    assert reader.lock_holder() is None
    with storage.lock(writer):
        assert reader.lock_holder() == writer
        assert stat.S_IMODE((root / ".writer").stat().st_mode) & ~0o640 == 0
    assert reader.lock_holder() is None
    with storage.lock(HOLDER):
        assert reader.lock_holder() == HOLDER  # on another machine: nobody can say
    dead = subprocess.Popen(["true"])
    dead.wait()
    (root / ".writer").write_bytes(
        msgspec.json.encode(LockHolder(socket.gethostname(), dead.pid, HOLDER.started_at))
    )
    assert reader.lock_holder() is None


def test_a_private_lake_has_no_file_for_readers(tmp_path: Path) -> None:
    """If only the owner may read, the writer is not recorded for others."""
    with LocalStorage(tmp_path / "lake").lock(HOLDER):
        assert [path.name for path in (tmp_path / "lake").iterdir()] == [".lock"]


def test_a_forked_child_does_not_hold_the_lock(tmp_path: Path) -> None:
    """A child that outlives the block leaves the lock free, and cannot free it for its parent."""
    storage = LocalStorage(tmp_path / "lake")
    reading, writing = os.pipe()
    with storage.lock(HOLDER):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)  # until the parent is done
            os._exit(0)
        assert LocalStorage(tmp_path / "lake").lock_holder() == HOLDER
    try:
        with storage.lock(HOLDER):
            pass
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "Mount"),
        (errno.EACCES, "permission"),
    ],
)
def test_a_refusing_disk_is_one_error_with_a_remedy(
    tmp_path: Path, number: int, advice: str
) -> None:
    """Full, over quota, read-only and forbidden all say which path, why, and what to do."""
    storage = LocalStorage(tmp_path / "lake")
    refusal = OSError(number, os.strerror(number))
    with (
        failpoints.active("manifest.written", refusal),
        pytest.raises(LakeUnwritableError) as caught,
    ):
        storage.create("manifests/000000000001.json", b"{}")
    assert os.strerror(number) in caught.value.message
    assert str(tmp_path / "lake/manifests/000000000001.json") in caught.value.message
    assert advice in caught.value.hint
    assert list(storage.list()) == []


def test_create_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has no hard links a manifest is still created only if absent."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    storage = LocalStorage(tmp_path / "lake")
    assert storage.create("manifests/1.json", b"first") is True
    assert storage.create("manifests/1.json", b"second") is False
    assert storage.read("manifests/1.json") == b"first"
    assert [file.path for file in storage.list()] == ["manifests/1.json"]


def test_a_lake_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """A location that is a file gives an error that names it."""
    (tmp_path / "lake").write_text("not a folder")
    with pytest.raises(LakeError, match="Not a directory"):
        Lake.open(tmp_path / "lake", create=True)
