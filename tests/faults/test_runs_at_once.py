"""Several backups of one lake at the same time, and the death of the one that writes."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake import failpoints
from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings
from chatlake.simulator import Faults, Running, Scenario, running
from tests.command_line import ended, start
from tests.support import NOW, rows, settings_for, wait_for_messages

COUNT = 150


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve so slowly that a backup takes some seconds."""
    with running(Scenario(completions=COUNT, seed=14, now=NOW, latency_ms=40)) as server:
        yield server


@pytest.fixture
def settings(server: Running, tmp_path: Path) -> Settings:
    """Point a configuration at it."""
    return settings_for(tmp_path, server.base_url, pace={"concurrency": 4})


def equal_to_the_source(settings: Settings, server: Running) -> bool:
    """Say whether the lake shows each completion of the source once, and no other."""
    stored = [name for (name,) in rows(settings, "SELECT completion_id FROM completions")]
    return sorted(stored) == sorted(server.ids())


def test_of_three_at_once_one_writes(server: Running, settings: Settings, tmp_path: Path) -> None:
    """The others exit with 8, name its host, process, start and run, and send no request."""
    server.set_faults(Faults(slow=1, slow_seconds=2, routes="messages"))
    writer = start(tmp_path, "backup", "--json", whole=True)
    wait_for_messages(server, 1)
    others = [start(tmp_path, "backup", "--json", *more) for more in ([], ["--full"])]
    refused = [ended(other) for other in others]
    holder = open_lake(settings).storage.lock_holder()
    server.set_faults()
    done = ended(writer)

    assert done.code == 0
    assert holder is not None
    assert (holder.host, holder.pid) == (socket.gethostname(), writer.pid)
    assert holder.run_id == done.json["run_id"]
    for other in refused:
        assert other.code == 8
        assert other.json["error"]["kind"] == "locked"
        for told in (f"process {writer.pid} on {socket.gethostname()}", "since", holder.run_id):
            assert told in other.json["error"]["message"]
        assert len(other.err.splitlines()) == 2
    assert equal_to_the_source(settings, server)
    assert rows(settings, "SELECT count(*) FROM runs") == [(1,)]
    asked = server.stats()["requests"]
    assert asked["messages"] < COUNT * 1.1


@pytest.mark.slow
def test_three_that_start_in_the_same_instant(
    server: Running, settings: Settings, tmp_path: Path
) -> None:
    """Of several runs that found no lake, exactly one writes."""
    codes = [ended(process).code for process in [start(tmp_path, "backup") for _ in range(3)]]

    assert sorted(codes) in ([0, 8, 8], [0, 0, 8], [0, 0, 0])  # late ones find it free again
    assert equal_to_the_source(settings, server)
    assert rows(settings, "SELECT count(*) FROM messages GROUP BY message_id HAVING count(*) > 1"
    ) == []  # fmt: skip
    assert len(rows(settings, "FROM runs")) == codes.count(0)


@pytest.mark.slow
@pytest.mark.parametrize("has_committed", [False, True])
def test_after_the_death_of_the_writer_the_next_takes_over_at_once(
    server: Running, settings: Settings, tmp_path: Path, *, has_committed: bool
) -> None:
    """`kill -9` leaves no lock behind; until the next run `status` calls the dead one killed.

    Before its first commit the lake knows nothing of the run.
    """
    if has_committed:
        writer = start(tmp_path, "backup", env={failpoints.VARIABLE: "commit.applied:kill"})
    else:
        writer = start(tmp_path, "backup", whole=True)
        wait_for_messages(server, 20)
        writer.send_signal(signal.SIGKILL)
    assert ended(writer).code == -signal.SIGKILL
    between = ended(start(tmp_path, "status", "--json"))
    done = ended(start(tmp_path, "backup", "--json"))

    assert between.code == 0
    assert between.json["locked_by"] is None
    assert [run["status"] for run in between.json["runs"]] == ["killed"] * has_committed
    assert done.code == 0
    assert equal_to_the_source(settings, server)
    assert sorted(rows(settings, "SELECT status FROM runs")) == [
        ("complete",), *[("interrupted",)] * has_committed,
    ]  # fmt: skip
