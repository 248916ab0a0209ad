"""A lake in a bucket with several users: backups, a compaction, a vacuum, readers."""

from __future__ import annotations

import signal
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from chatlake.bootstrap.maintenance import compact_lake, unlisted_now, vacuum_lake
from chatlake.errors import LakeLockedError
from chatlake.lake import Lake
from chatlake.lake.files.replaced import replaced_path
from chatlake.model.manifest import Manifest
from chatlake.simulator import Scenario, running
from tests import lake_rows
from tests.command_line import CommandLine, ended, start
from tests.fake_store import FakeStore, lake_on
from tests.lake_writer import commit
from tests.moto_server import S3Server
from tests.support import NOW, in_bucket, rows, wait_for_messages, write_config

COUNT = "SELECT count(*), count(DISTINCT message_id) FROM messages"
NONE = timedelta(0)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


@pytest.fixture
def small(s3_lake: str, tmp_path: Path) -> Lake:
    """A lake of three small commits, with a configuration for a source without a server."""
    in_bucket(write_config(tmp_path, "http://127.0.0.1:1/v1"), s3_lake)
    lake = Lake.open(s3_lake, create=True)
    with lake.lock():
        for key in "abc":
            commit(lake, key)
    return lake


@pytest.mark.slow
def test_of_two_backups_one_writes_and_its_death_loses_nothing(
    chatlake: CommandLine, tmp_path: Path, s3: S3Server, s3_lake: str
) -> None:
    """The second exits with 8 and names the first; after `kill -9` the next one continues."""
    with running(Scenario(completions=150, seed=14, now=NOW, latency_ms=40)) as server:
        config = write_config(tmp_path, server.base_url, pace={"concurrency": 4})
        settings = in_bucket(config, s3_lake)
        first = start(tmp_path, "backup", whole=True)
        wait_for_messages(server, 30)
        second = chatlake("backup", "--json")
        kept = chatlake("vacuum", "--older-than", "0s")
        first.kill()
        assert ended(first).code == -signal.SIGKILL
        between = chatlake("status", "--json")
        done = chatlake("backup", "--json")
        names = server.ids()

    assert second.code == 8
    assert f"process {first.pid} on {socket.gethostname()}" in second.json["error"]["message"]
    assert len(second.err.splitlines()) == 2
    assert kept.code in {0, 1, 8}  # 0: there is nothing yet that it could remove; 1: no lake yet
    assert "Removed" not in kept.out
    assert between.code in {0, 1}  # 1: it was killed before its first commit
    assert done.code == 0, done.err
    found = rows(settings, "SELECT completion_id FROM completions")
    assert sorted(key for (key,) in found) == sorted(names)
    assert chatlake("verify").code == 0


@pytest.mark.slow
def test_while_a_compaction_runs(chatlake: CommandLine, small: Lake) -> None:
    """A backup and a vacuum are turned away by name; readers see the lake as it was, then as it is."""
    codes: list[int] = []
    seen: list[tuple[int, int]] = []

    def meanwhile(*_: int) -> None:
        for words in (["backup"], ["vacuum", "--older-than", "0s"], ["compact"]):
            done = chatlake(*words)
            codes.append(done.code)
            assert f"on {socket.gethostname()}, since" in done.err
        seen.append(count(Lake.open(small.location)))

    early = Lake.open(small.location)
    with early.connect() as reader:
        assert reader.execute(COUNT).fetchone() == (6, 6)
        compact_lake(small, meanwhile)
        # What it read of is replaced by now, and stays for it.
        assert reader.execute(f"{COUNT} WHERE length(raw::VARCHAR) > 0").fetchone() == (6, 6)
    assert len(small.state.files) == 2
    assert codes == [8] * 6
    assert seen == [(6, 6)] * 2
    assert count(Lake.open(small.location)) == (6, 6)


def count(lake: Lake) -> tuple[int, int]:
    """Return the number of messages, and of different ones."""
    with lake.connect() as connection:
        return connection.execute(COUNT).fetchall()[0]


@pytest.mark.slow
def test_a_vacuum_leaves_alone_what_a_run_is_about_to_list(
    chatlake: CommandLine, small: Lake
) -> None:
    """While the run lives its lock turns a vacuum away; without a lock the age of a file does."""
    with small.lock("run"):
        parts = small.write_parts({
            ("completions", lake_rows.DAY): lake_rows.columns(
                "completions", [lake_rows.completion("d")]
            )
        })  # fmt: skip
        refused = chatlake("vacuum", "--older-than", "0s")
        assert refused.code == 8
        assert "run run" in refused.err
        assert [f.path for f in unlisted_now(small, WEEK).kept] == [f.path for f in parts]
        small.commit(Manifest(added=parts))
    assert small.missing_files() == []
    assert vacuum_lake(small, NONE)[0] == []


@pytest.fixture
def store() -> FakeStore:
    """A store with a clock that the test moves, and a lake of two commits that can be merged."""
    store = FakeStore()
    store.now = datetime.now(UTC)
    lake = lake_on(store)
    lake.create()
    with lake.lock():
        commit(lake, "a")
        commit(lake, "b")
    return store


def test_a_run_that_was_asleep_does_not_list_what_a_vacuum_has_removed(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vacuum takes its lease over: the run ends with exit code 8, and lists nothing."""
    run, other = lake_on(store), lake_on(store)
    with run.lock("asleep"):
        parts = run.write_parts({
            ("completions", lake_rows.DAY): lake_rows.columns(
                "completions", [lake_rows.completion("c")]
            )
        })  # fmt: skip
        store.passes(63)
        assert vacuum_lake(other, WEEK)[0] == []
        store.passes(63)
        assert [file.path for file in vacuum_lake(other, NONE)[0]] == [replaced_path(parts[0].path)]
        clock = time.clock_gettime
        monkeypatch.setattr(time, "clock_gettime", lambda kind: clock(kind) + 126)
        with pytest.raises(LakeLockedError, match="had not renewed it"):
            run.commit(Manifest(added=parts))
    assert lake_on(store).missing_files() == []


def test_a_vacuum_goes_by_the_clock_of_the_store(store: FakeStore) -> None:
    """What was replaced stays a week by the store's time, whatever this machine's clock says."""
    lake = lake_on(store)
    compact_lake(lake)
    with time_machine.travel(datetime.now(UTC) + 8 * DAY, tick=False):
        assert vacuum_lake(lake, WEEK)[0] == []
    store.passes(8 * DAY.total_seconds())
    assert len(vacuum_lake(lake, WEEK)[0]) == 4
    assert lake.missing_files() == []
