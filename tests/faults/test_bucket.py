"""A lake in a bucket: writers that are killed around a commit, and several at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

from chatlake.errors import LakeLockedError
from chatlake.lake import Lake, failpoints, manifests
from chatlake.lake.lease import Lease
from chatlake.lake.opening import storage_at
from chatlake.lake.remote import RemoteStorage
from chatlake.lake.storage import LockHolder, Storage
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.simulator import Scenario, running
from tests.command_line import ended, start
from tests.lake_writer import commit
from tests.moto_server import S3Server
from tests.support import NOW, in_bucket, rows, wait_for_messages, write_config

# Before and after the upload that commits, and before that of the checkpoint.
POINTS = ("manifest.written", "manifest.linked", "checkpoint.written")
HOLDER = LockHolder("there", 2, "now", "new")
COMMITTED_FROM = failpoints.NAMES.index("manifest.linked")


def writer(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a process that writes."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.lake_writer", *arguments],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


def stored(lake: Lake) -> dict[str, int]:
    """Return completion id -> number of its messages, as the views show them."""
    query = "SELECT completion_id, count(*) FROM {} GROUP BY ALL ORDER BY ALL"
    with lake.connect() as connection:
        whole = connection.execute(query.format("completions")).fetchall()
        messages = connection.execute(query.format("messages")).fetchall()
    assert [(key, 1) for key, _ in messages] == whole
    return dict(messages)


@pytest.fixture(scope="module")
def prepared(s3_server: S3Server) -> dict[str, str]:
    """Return the addresses of a young lake and of one a commit before its first checkpoint.

    Both hold the completion `old`.
    """
    young, due = "s3://prepared/young", "s3://prepared/due"
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in s3_server.environment.items():
            monkeypatch.setenv(name, value)
        s3_server.make_bucket("prepared")
        with Lake.open(young, create=True).lock():
            pass
        lake = Lake.open(young)
        commit(lake, "old")
        copied(s3_server, young, due)
        lake = Lake.open(due)
        for _ in range(CHECKPOINT_EVERY - 2):
            lake.commit(Manifest())
    return {"young": young, "due": due}


def copied(server: S3Server, source: str, target: str) -> None:
    """Copy every object of a lake."""
    client = server.client()
    start, _, prefix = source.removeprefix("s3://").partition("/")
    bucket, _, folder = target.removeprefix("s3://").partition("/")
    for found in client.list_objects_v2(Bucket=start, Prefix=f"{prefix}/")["Contents"]:
        name = folder + found["Key"].removeprefix(prefix)
        client.copy_object(
            Bucket=bucket, Key=name, CopySource={"Bucket": start, "Key": found["Key"]}
        )


@pytest.mark.parametrize("name", POINTS)
def test_killed_at(s3: S3Server, prepared: dict[str, str], s3_lake: str, name: str) -> None:
    """Readers see the commit whole or not at all; the next run goes on at once; no rubbish stays."""
    before_checkpoint = name.startswith("checkpoint")
    copied(s3, prepared["due" if before_checkpoint else "young"], s3_lake)
    with writer(s3_lake, "new", CHATLAKE_FAILPOINT=f"{name}:kill") as process:
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL

    happened = failpoints.NAMES.index(name) >= COMMITTED_FROM
    lake = Lake.open(s3_lake)
    assert stored(lake) == {"old": 2, **({"new": 2} if happened else {})}
    assert lake.storage.lock_holder() is None
    with lake.lock():  # its holder never let it go
        if not happened:
            commit(lake, "new")
        commit(lake, "next")
    for file in list(lake.leftovers()):
        lake.storage.delete(file.path)
    again = Lake.open(s3_lake)
    assert stored(again) == {"old": 2, "new": 2, "next": 2}
    assert list(again.leftovers()) == []
    assert list(manifests.find_damage(again.storage)) == []
    if before_checkpoint:
        assert again.storage.size(manifests.checkpoint_path(CHECKPOINT_EVERY))


def test_two_writers_at_once_lose_and_double_nothing(cloud_lake: str) -> None:
    """Even without the lock, commits of two processes end up one after the other, each once."""
    Lake.open(cloud_lake, create=True)
    names = [[f"{who}{i}" for i in range(6)] for who in "ab"]
    for process in [writer(cloud_lake, "--unlocked", *mine) for mine in names]:
        with process:
            assert process.wait(timeout=60) == 0
    lake = Lake.open(cloud_lake)
    assert lake.state.number == 12
    assert stored(lake) == {name: 2 for mine in names for name in mine}


def test_of_two_backups_one_writes_and_its_death_loses_nothing(
    tmp_path: Path, s3: S3Server, s3_lake: str
) -> None:
    """The second ends with 8 and names the first; after `kill -9` the next one goes on from there."""
    with running(Scenario(completions=150, seed=14, now=NOW, latency_ms=40)) as server:
        config = write_config(tmp_path, server.base_url, pace={"concurrency": 4})
        settings = in_bucket(config, s3_lake)
        first = start(tmp_path, "backup")
        wait_for_messages(server, 30)
        second = ended(start(tmp_path, "backup", "--json"))
        first.kill()
        assert ended(first).code == -signal.SIGKILL
        between = ended(start(tmp_path, "status", "--json"))
        done = ended(start(tmp_path, "backup", "--json"))
        names = server.ids()

    assert second.code == 8
    assert f"process {first.pid} on {socket.gethostname()}" in second.json["error"]["message"]
    assert len(second.err.splitlines()) == 2
    assert between.code in {0, 1}  # 1: it was killed before its first commit
    assert done.code == 0, done.err
    found = rows(settings, "SELECT completion_id FROM completions")
    assert sorted(key for (key,) in found) == sorted(names)


def test_a_lease_that_ran_out_is_taken_over(cloud_lake: str) -> None:
    """By the store's clock. Its old holder, back from a long sleep, writes no more."""
    old, new = storage_at(cloud_lake), storage_at(cloud_lake)
    assert isinstance(old, RemoteStorage)
    old._lease_s = 0.1
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
