"""A disk that is full at any step of a commit: the error says so, and the lake stays intact."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from chatlake import failpoints
from chatlake.errors import LakeUnwritableError
from chatlake.lake import Lake
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.simulator import Scenario, running
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.history import check_history
from tests import lake_rows as rows
from tests.lake_writer import commit
from tests.support import NOW, backup, settings_for
from tests.support import rows as ask

WRITING = [
    name for name in failpoints.NAMES if name.split(".")[0] in {"part", "manifest", "checkpoint"}
]


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", WRITING)
def test_full_at(tmp_path: Path, name: str) -> None:
    """The writer gets LakeUnwritableError; later, with room again, it continues without a loss."""
    lake = Lake.open(tmp_path / "lake", create=True)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with lake.lock():
        for _ in range(CHECKPOINT_EVERY - 1):
            lake.commit(Manifest())
        with failpoints.active(name, full), pytest.raises(LakeUnwritableError) as caught:
            commit(lake, "a")
    assert "No space left" in caught.value.message
    assert "Free space" in caught.value.hint

    again = Lake.open(lake.location)
    happened = failpoints.NAMES.index(name) >= failpoints.NAMES.index("manifest.linked")
    assert set(again.stored_versions(rows.DAY)) == ({"a"} if happened else set())
    assert not any(file.path.endswith(".tmp") for file in again.storage.list())
    with again.lock():
        commit(again, "b")
    assert set(again.stored_versions(rows.DAY)) == ({"a", "b"} if happened else {"b"})
    assert check_history(RereadingStorage(again.storage, time.sleep)).findings == []


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", [n for n in failpoints.NAMES if n.startswith("catalog.")])
def test_a_catalogue_that_cannot_be_written_leaves_the_commit(tmp_path: Path, name: str) -> None:
    """The commit is durable before the catalogue: readers still get it."""
    lake = Lake.open(tmp_path / "lake", create=True)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write() -> None:
        with lake.lock():
            commit(lake, "a")

    with failpoints.active(name, full), pytest.raises((LakeUnwritableError, OSError)):
        write()
    with Lake.open(lake.location).connect() as connection:
        assert connection.execute("SELECT completion_id FROM completions").fetchall() == [("a",)]


def test_a_commit_that_failed_after_it_happened_is_in_the_state(tmp_path: Path) -> None:
    """When only the folder's fsync failed, state and manifest say that the commit is there."""
    lake = Lake.open(tmp_path / "lake", create=True)
    broken = OSError(errno.EIO, os.strerror(errno.EIO))
    with lake.lock():
        manifest = Manifest(run_id="r")
        with failpoints.active("manifest.linked", broken), pytest.raises(LakeUnwritableError):
            lake.commit(manifest)
        assert lake.state.number == manifest.number == 1
        lake.commit(Manifest())
    assert Lake.open(lake.location).state.number == 2


def test_the_same_process_goes_on_after_a_full_disk(tmp_path: Path) -> None:
    """A lake object whose commit failed before it happened can commit the same manifest again."""
    lake = Lake.open(tmp_path / "lake", create=True)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with lake.lock():
        manifest = Manifest(run_id="r")
        with failpoints.active("manifest.synced", full), pytest.raises(LakeUnwritableError):
            lake.commit(manifest)
        assert manifest == Manifest(run_id="r")
        assert lake.state.number == 0
        lake.commit(manifest)
        assert lake.state.number == 1


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["part.synced", "commit.started", "manifest.written"])
def test_a_commit_that_failed_leaves_neither_figures_nor_cursor(tmp_path: Path, name: str) -> None:
    """The record of the run tells what is there, and the next run begins where the lake ends."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with running(Scenario(completions=60, seed=4, days=9, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url, lookback="1h", full_sweep_every=None)
        Lake.open(settings.lake_location, create=True)
        with failpoints.active(name, full):
            try:
                failed = backup(settings).sources[0].run
            except OSError:  # between two steps of a commit nothing turns it into a LakeError
                failed = None
        state = Lake.open(settings.lake_location).state
        told = ask(settings, "SELECT status, listed, new, failed FROM runs")
        completions = ask(settings, "SELECT completion_id FROM completions")
        again = backup(settings)
        ids = server.ids()

    assert completions == []
    assert state.cursors == {}
    assert told == [("failed", 0, 0, 0)]
    assert failed is None or (failed.status, failed.listed, failed.new) == ("failed", 0, 0)
    assert again.exit_code == 0
    stored = ask(settings, "SELECT completion_id FROM completions")
    assert sorted(stored) == sorted((name,) for name in ids)
