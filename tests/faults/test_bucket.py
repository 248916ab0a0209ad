"""A lake in a bucket: writers that are killed at every step, and several at once."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from unittest import mock

import pytest

from chatlake import failpoints
from chatlake.bootstrap.maintenance import compact_lake, vacuum_lake
from chatlake.errors import LakeLockedError
from chatlake.lake import Lake, manifests
from chatlake.lake.compacting import compact
from chatlake.lake.files.parts import read_columns
from chatlake.lake.vacuum import find_unlisted, remove
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.storage.bucket.lease import Lease
from chatlake.storage.bucket.remote import RemoteStorage
from chatlake.storage.interface import LockHolder, Storage
from chatlake.storage.opening import storage_at
from chatlake.verify.run import verify
from tests.forked import killed, writer
from tests.lake_writer import commit
from tests.moto_server import S3Server

# An object appears when its upload is complete: in a bucket there is nothing to flush to a disk.
# Nor does anything happen between a manifest and "applied", or a catalogue's end and its upload.
COMMIT = tuple(
    name
    for name in failpoints.NAMES
    if not name.endswith("synced")
    and name not in {"commit.started", "commit.applied", "catalog.built"}
)
# Its commit is like any other: around it, and where it happens.
COMPACTION = ("compaction.merged", "manifest.written", "manifest.linked", "compaction.committed")
SMALL = dict.fromkeys("abc", 2)
NONE = timedelta(0)
HOLDER = LockHolder("there", 2, "now", "new")


def happened(name: str) -> bool:
    """Say whether the commit is there at a fail-point: the manifest has its name."""
    if name in failpoints.MAINTENANCE:
        return name == "compaction.committed"
    return failpoints.NAMES.index(name) >= failpoints.NAMES.index("manifest.linked")


def stored(lake: Lake) -> dict[str, int]:
    """Return completion id -> number of its messages, as the views show them."""
    query = "SELECT completion_id, count(*) FROM {} GROUP BY ALL ORDER BY ALL"
    with lake.connect() as connection:
        whole = connection.execute(query.format("completions")).fetchall()
        messages = connection.execute(query.format("messages")).fetchall()
    assert [(key, 1) for key, _ in messages] == whole
    return dict(messages)


def listed(lake: Lake) -> dict[str, int]:
    """Return the same as the listed files have it: cheaper than by the views."""
    found = {
        table: Counter(
            key
            for file in lake.state.table_files(table)
            for key in read_columns(lake.storage, file, "completion_id")[0]
        )
        for table in ("completions", "messages")
    }
    assert found["completions"] == dict.fromkeys(found["messages"], 1)
    return dict(found["messages"])


def seen(lake: Lake, name: str) -> dict[str, int]:
    """Return what a reader sees after a kill; by the views where they are under way."""
    return stored(lake) if name.startswith(("catalog", "manifest")) else listed(lake)


def tidy(lake: Lake) -> None:
    """Remove what no manifest lists, as `vacuum_lake` does; the caller holds the lock."""
    remove(lake.storage, find_unlisted(lake, NONE, lake.storage.now()).removable)


def is_sound(lake: Lake) -> bool:
    """Say whether nothing is left that no manifest lists, and `verify` finds nothing."""
    return list(lake.leftovers()) == [] and verify(lake).findings == []


@pytest.fixture(scope="module")
def prepared(s3_server: S3Server) -> dict[str, str]:
    """Return the addresses of three lakes, to be copied.

    `young` and `due`, which is a commit before its first checkpoint, hold the completion `old`;
    `small` has three commits to merge.
    """
    places = {name: f"s3://prepared/{name}" for name in ("young", "due", "small")}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in s3_server.environment.items():
            monkeypatch.setenv(name, value)
        s3_server.make_bucket("prepared")
        lake = Lake.open(places["young"], create=True)
        with lake.lock():
            commit(lake, "old")
        s3_server.copy(places["young"], places["due"])
        lake = Lake.open(places["due"])
        for _ in range(CHECKPOINT_EVERY - 2):
            lake.commit(Manifest())
        lake = Lake.open(places["small"], create=True)
        with lake.lock():
            for key in SMALL:
                commit(lake, key)
    return places


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMIT)
def test_killed_at(s3: S3Server, prepared: dict[str, str], s3_lake: str, name: str) -> None:
    """Readers see the commit whole or not at all; the next run continues; nothing is left over."""
    is_due = name.startswith("checkpoint")
    s3.copy(prepared["due" if is_due else "young"], s3_lake)
    killed(s3_lake, "new", at=name, environment=s3.environment)

    lake = Lake.open(s3_lake)
    assert seen(lake, name) == {"old": 2, **({"new": 2} if happened(name) else {})}
    assert lake.storage.lock_holder() is None
    with lake.lock():  # its holder never released it
        commit(lake, "next" if happened(name) else "new")
        tidy(lake)
    assert listed(lake) == {"old": 2, "new": 2, **({"next": 2} if happened(name) else {})}
    assert is_sound(lake)
    if is_due:
        assert lake.storage.size(manifests.checkpoint_path(CHECKPOINT_EVERY))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPACTION)
def test_a_compaction_killed_at(
    s3: S3Server, prepared: dict[str, str], s3_lake: str, name: str
) -> None:
    """The old files or the new one, with the same rows; the next run finishes the work."""
    s3.copy(prepared["small"], s3_lake)
    killed(s3_lake, "--compact", at=name, environment=s3.environment)

    lake = Lake.open(s3_lake)
    assert len(lake.state.files) == (2 if happened(name) else 6)
    assert seen(lake, name) == SMALL
    with lake.lock():  # its holder never released it
        compact(lake, "next")
        tidy(lake)
    assert len(lake.state.files) == 2
    assert listed(lake) == SMALL
    assert is_sound(lake)


@pytest.mark.slow
def test_a_vacuum_killed_half_way(s3: S3Server, prepared: dict[str, str], s3_lake: str) -> None:
    """Some files are gone, and none that is listed; the next one removes the others."""
    s3.copy(prepared["small"], s3_lake)
    lake = Lake.open(s3_lake)
    compact_lake(lake)
    killed(s3_lake, "--vacuum", at="vacuum.removed", environment=s3.environment)
    assert len(list(lake.leftovers())) == 5
    assert stored(lake) == SMALL
    vacuum_lake(lake, NONE)
    assert is_sound(lake)


@pytest.mark.slow
def test_two_writers_at_once_lose_and_double_nothing(cloud_lake: str) -> None:
    """Even without the lock, commits of two processes end up one after the other, each once."""
    Lake.open(cloud_lake, create=True)
    names = [[f"{who}{i}" for i in range(6)] for who in "ab"]
    with (
        writer(cloud_lake, "--unlocked", *names[0]) as one,
        writer(cloud_lake, "--unlocked", *names[1]) as other,
    ):
        pass
    assert (one.exitcode, other.exitcode) == (0, 0)
    lake = Lake.open(cloud_lake)
    assert lake.state.number == 12
    assert stored(lake) == {name: 2 for mine in names for name in mine}


def test_a_lease_that_ran_out_is_taken_over(cloud_lake: str) -> None:
    """By the store's clock. Its old holder, back from a long sleep, no longer writes."""
    old, new = storage_at(cloud_lake), storage_at(cloud_lake)
    assert isinstance(old, RemoteStorage)
    old._lease_s = 1.0  # seconds: enough for `new` to be refused, on a busy machine too
    with pytest.raises(LakeLockedError, match="was taken over by process 2 on there"):
        taken_over(old, new)
    assert new.read("a") == b"new"
    assert new.lock_holder() is None


def taken_over(old: RemoteStorage, new: Storage) -> None:
    """Hold the lock without renewing it; write once another has it."""
    with (
        mock.patch.object(Lease, "_keep"),
        old.lock(LockHolder("here", 1, "then", "old")),
    ):
        with pytest.raises(LakeLockedError, match="process 1 on here"):
            new.lock(HOLDER).__enter__()
        until = time.monotonic() + 30
        while old.lock_holder() is not None:
            assert time.monotonic() < until
            time.sleep(0.1)
        with new.lock(HOLDER):
            new.replace("a", b"new")
            old.replace("a", b"old")
