"""A passing read error is not damage, a lasting one is named."""

from __future__ import annotations

import io
import os
from collections import Counter
from typing import BinaryIO

import pytest

from chatlake.errors import LakeError, LakeUnwritableError
from chatlake.lake import Lake
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.storage.memory import MemoryStorage
from chatlake.storage.rereading import ATTEMPTS
from chatlake.verify.record import RECORD
from chatlake.verify.run import verify_storage
from tests import lake_rows as rows
from tests.faults.verify_lakes import check_storage, commit, only

BAD_SECTOR = OSError(5, os.strerror(5))


class FailingStorage(MemoryStorage):
    """A storage whose first reads of some files fail, or give wrong bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: dict[str, int] = {}
        self.wrong: dict[str, int] = {}
        self.reads: Counter[str] = Counter()
        self.read_only = False

    def read(self, path: str) -> bytes:
        data = super().read(path)
        self.reads[path] += 1
        if self.failing.get(path, 0) > 0:
            self.failing[path] -= 1
            raise LakeError(f"Cannot read {path}") from BAD_SECTOR
        if self.wrong.get(path, 0) > 0:
            self.wrong[path] -= 1
            return data[:-1] + bytes([data[-1] ^ 1])
        return data

    def replace(self, path: str, data: bytes) -> None:
        if self.read_only:
            raise LakeUnwritableError(f"Cannot write {path}: Read-only file system")
        super().replace(path, data)


class BrokenStream(io.BytesIO):
    """A file that opens and cannot be read."""

    def read(self, *_: object) -> bytes:
        raise BAD_SECTOR


class BreakingStorage(FailingStorage):
    """A storage whose files open, and fail at the first read from them."""

    def open_input(self, path: str) -> BinaryIO:
        if self.failing.get(path, 0) > 0:
            self.failing[path] -= 1
            return BrokenStream()
        return super().open_input(path)


@pytest.fixture(params=[FailingStorage, BreakingStorage])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[FailingStorage]:
    """Give a storage that fails; what is opened there is not read at once, as if it were large."""
    if request.param is BreakingStorage:
        monkeypatch.setattr("chatlake.lake.files.replaced.READ_AHEAD_BYTES", -1)
    storage: type[FailingStorage] = request.param
    return storage


def filled(storage: FailingStorage) -> FailingStorage:
    """Commit one completion with all that belongs to it, and a checkpoint."""
    lake = Lake(storage)
    picture = rows.image(b"\x89PNG")
    part = rows.part("a", 0, type="image_url", image_sha256=picture["sha256"])
    commit(
        lake,
        {
            "completions": [rows.completion("a", image_count=1)],
            "messages": [rows.message("a", 0, parts=[part]), rows.message("a", 1)],
            "content_parts": [part],
            "images": [picture],
        },
    )
    while lake.state.number <= CHECKPOINT_EVERY:
        lake.commit(Manifest())
    return storage


@pytest.mark.parametrize("failures", range(1, ATTEMPTS))
def test_a_passing_read_error_is_no_damage(kind: type[FailingStorage], failures: int) -> None:
    """Every file of the lake fails once, or twice: nothing is found, and each was read again."""
    storage = filled(kind())
    files = {file.path for file in storage.list()}
    storage.failing = dict.fromkeys(files, failures)

    assert check_storage(storage).findings == []
    assert {path for path, left in storage.failing.items() if left} == set()


def test_passing_wrong_bytes_are_no_damage() -> None:
    """A file that was read wrong once and right afterwards is intact."""
    storage = filled(FailingStorage())
    storage.wrong = {file.path: 1 for file in storage.list()}

    assert check_storage(storage).findings == []


def test_a_lasting_read_error_is_named(kind: type[FailingStorage]) -> None:
    """After three attempts, with a pause before each but the first, it says what happened."""
    storage = filled(kind())
    path = next(file.path for file in storage.list("messages"))
    storage.failing = {path: 99}
    pauses: list[float] = []

    finding = only(verify_storage(storage, pause=pauses.append))

    assert (finding.path, finding.kind) == (path, "unreadable")
    assert "Input/output error" in finding.problem
    assert len(pauses) == ATTEMPTS - 1
    assert all(0 < pause < 1 for pause in pauses)


@pytest.mark.parametrize("folder", ["manifests/0", "manifests/checkpoint"])
def test_a_manifest_that_cannot_be_read_is_named(folder: str) -> None:
    """The manifest is named, and all others are still read."""
    storage = filled(FailingStorage())
    path = next(file.path for file in storage.list() if file.path.startswith(folder))
    storage.failing = {path: 99}

    finding = only(check_storage(storage))

    assert (finding.path, finding.kind) == (path, "unreadable")


def test_a_sound_file_is_read_as_seldom_as_can_be() -> None:
    """Once for its bytes, its keys, its columns each: no attempt is wasted on what is whole."""
    storage = filled(FailingStorage())
    storage.reads.clear()

    check_storage(storage)

    assert {storage.reads[file.path] for file in storage.list("messages")} == {3}


def test_a_lake_that_cannot_be_written_is_verified_all_the_same() -> None:
    """Only the record of what was checked is missing, and the report says so."""
    storage = filled(FailingStorage())
    storage.read_only = True

    report = check_storage(storage, "1/2")

    assert report.findings == []
    assert report.files == 2
    assert "cannot record for --subset" in report.notes[0]
    assert storage.size(RECORD) is None


def test_progress_counts_every_byte_once() -> None:
    """From 0 to all bytes, also when a file is read twice."""
    storage = filled(FailingStorage())
    storage.wrong = {file.path: 1 for file in storage.list("images")}
    told: list[tuple[int, int]] = []

    report = verify_storage(storage, progress=lambda *at: told.append(at), pause=lambda _: None)

    assert told[0] == (0, report.bytes)
    assert told[-1] == (report.bytes, report.bytes)
    assert all(0 <= read <= total for read, total in told)


def test_an_interruption_keeps_what_was_checked() -> None:
    """An interrupted verification does not start over."""
    storage = filled(FailingStorage())

    def interrupt(read: int, total: int) -> None:
        if read == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_storage(storage, progress=interrupt)
    assert storage.size(RECORD) is not None
    assert check_storage(storage).findings == []
