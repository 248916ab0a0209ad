"""The commands on a lake in a bucket: S3's protocol, without a DuckDB extension."""

from __future__ import annotations

import gc
import itertools
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pytest

from chatlake.backup.export import Item
from chatlake.backup.items import Asked, Flush, SourceJob
from chatlake.bootstrap.opened import open_lake
from chatlake.bootstrap.runtime import export_batch
from chatlake.bootstrap.sources import jobs_for
from chatlake.config import Settings
from chatlake.errors import LakeUnreachableError, LakeUnwritableError
from chatlake.lake.catalog.opening import CATALOG, read_stamp
from chatlake.lake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.simulator import Running, Scenario, running
from chatlake.storage.bucket import s3 as store_s3
from chatlake.storage.opening import storage_at
from tests.command_line import CommandLine
from tests.moto_server import S3Server
from tests.support import KEY, NOW, backup, in_bucket, write_config

COUNT = 40
# The stand-ins' keys, or how they begin.
SECRETS = ("testing-secret", "dGVzdGluZy1zZWNyZXQt")


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve completions of some days."""
    with running(Scenario(completions=COUNT, seed=8, now=NOW)) as server:
        yield server


@pytest.fixture
def settings(server: Running, s3_lake: str, tmp_path: Path) -> Settings:
    """Point a configuration at it, and at a bucket."""
    return in_bucket(write_config(tmp_path, server.base_url), s3_lake)


@pytest.mark.slow
def test_every_command_works_there(
    chatlake: CommandLine, server: Running, cloud_lake: str, tmp_path: Path
) -> None:
    """In each cloud every command works, and no secret is shown."""
    in_bucket(write_config(tmp_path, server.base_url), cloud_lake)
    before = chatlake("doctor", "--json")
    first = chatlake("backup", "--json")
    again = chatlake("backup", "--json")
    status = chatlake("status", "--json")
    asked = chatlake("sql", "--json", "SELECT count(DISTINCT completion_id) AS n FROM messages")
    exported = chatlake("export", "raw", "--output", str(tmp_path / "out.jsonl"))
    others = [
        chatlake(*words)
        for words in (
            ["verify"],
            ["compact"],
            ["vacuum", "--older-than", "0s", "--yes"],
            ["verify"],
            ["doctor"],
        )
    ]

    assert (before.code, first.code, again.code, exported.code) == (0, 0, 0, 0), before.out
    assert first.json["lake"] == cloud_lake
    assert first.json["sources"][0]["new"] == COUNT
    assert (again.json["sources"][0]["new"], again.json["files_added"]) == (0, 0)
    assert (status.json["lake"], status.json["locked_by"]) == (cloud_lake, None)
    assert asked.json == [{"n": COUNT}]
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["completion"]["id"] for line in lines}) == COUNT
    assert [(done.code, done.err) for done in others if done.code] == []
    assert f"✓ writable: {cloud_lake}, with conditional writes" in others[-1].out
    assert "disk" not in others[-1].out
    for done in (before, first, status, *others):
        assert not [secret for secret in SECRETS if secret in done.out + done.err]


@pytest.mark.slow
def test_a_reader_writes_nothing(chatlake: CommandLine, s3: S3Server, settings: Settings) -> None:
    """`status`, `sql` and `export` only ask for objects."""
    backup(settings)
    s3.requests.clear()
    chatlake("status")
    chatlake("sql", "SELECT count(*) FROM messages")
    chatlake("export", "raw", "--output", "-")
    assert {method for method, _ in s3.requests} == {"GET", "HEAD"}


@pytest.mark.slow
def test_the_catalogue_is_for_other_programs(
    s3: S3Server, settings: Settings, tmp_path: Path
) -> None:
    """It shows the newest commit, by addresses that DuckDB's own extension reads."""
    backup(settings)
    storage = Lake.open(settings.lake_location).storage
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(storage.read(CATALOG))
    stamp = read_stamp(str(copy))
    assert stamp is not None
    assert stamp.location == settings.lake_location
    assert stamp.number == Lake.open(settings.lake_location).state.number
    with duckdb.connect(str(copy), read_only=True) as connection:
        (sql,) = connection.execute(
            "SELECT sql FROM duckdb_views() WHERE view_name = 'completions'"
        ).fetchone() or ("",)
    assert f"'{settings.lake_location}/completions/source=openai/created_date=" in sql


def test_what_is_asked_of_the_bucket_is_bounded(s3: S3Server, settings: Settings) -> None:
    """A count reads each file by one request, and lists no folder of data."""
    backup(settings)
    s3.requests.clear()
    lake = open_lake(settings)
    opened = len(s3.requests)
    with lake.connect() as connection:
        connection.execute("SELECT count(*) FROM completions").fetchall()
    files = len(list(lake.state.table_files("completions")))
    assert opened == 1 + lake.state.number
    assert len(s3.requests) - opened <= 1 + files


@pytest.mark.slow
def test_a_connection_outlives_its_lake(s3: S3Server, settings: Settings) -> None:
    """A kept connection can still read; the temporary catalogue is removed with it."""
    backup(settings)
    connection = Lake.open(settings.lake_location).connect()
    gc.collect()
    ((place,),) = connection.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = 'lake'"
    ).fetchall()
    assert connection.execute("SELECT count(*) FROM completions").fetchall() == [(COUNT,)]
    assert Path(place).exists()
    connection.close()
    del connection
    gc.collect()
    assert not Path(place).exists()


def test_a_store_that_never_answers_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> None:
    """Whatever its library would do: a read and a write end, and say that no answer came."""
    for name in ("ANSWER_S", "CONDITIONAL_S"):
        monkeypatch.setattr(store_s3, name, 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        storage = storage_at("s3://bucket/lake")
        with pytest.raises(LakeUnreachableError, match="no response in time"):
            storage.size("a")
        with pytest.raises(LakeUnwritableError, match="no response in time"):
            storage.create("a", b"")
        # Left alone, the library would wait a minute for each answer, and try five times.
        assert _callers(silent) <= 2


def _callers(listening: socket.socket) -> int:
    """Return how many connections nobody has accepted yet."""
    listening.setblocking(False)
    for number in itertools.count():
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return number
    raise AssertionError("unreachable")


@pytest.mark.slow
def test_a_lost_object_is_named_and_healed(
    chatlake: CommandLine, s3: S3Server, settings: Settings
) -> None:
    """`sql`, `export` and `verify` name it and end with 7; the next backup fetches it again."""
    chatlake("backup")
    lake = Lake.open(settings.lake_location)
    lost = lake.state.table_files("messages")[0].path
    lake.storage.delete(lost)
    refused = [
        chatlake("sql", "SELECT count(text) FROM messages"),
        chatlake("export", "raw", "--output", "-"),
        chatlake("verify"),
    ]
    healed = chatlake("backup")
    sound = chatlake("verify")

    for done in refused:
        assert done.code == 7
        assert lost in done.out + done.err
        assert "is missing" in done.out + done.err
    assert (healed.code, sound.code) == (0, 0)


def export_elsewhere(settings: Settings, job: SourceJob, items: list[Item]) -> list[Flush]:
    """Export a batch in a worker's process."""
    flushes: list[Flush] = []
    export_batch(settings, job, "run", items, flushes.append, processes=2)
    return flushes


def test_a_worker_writes_and_the_run_commits(
    settings: Settings, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process opens the bucket for itself, and its files are committed from here."""
    monkeypatch.setenv("CHATLAKE_TEST_KEY", KEY)
    lake = Lake.open(settings.lake_location, create=True)
    (job,) = jobs_for(settings, ids=server.ids()[:5])
    with lake.lock("run"), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        flushes = pool.submit(
            export_elsewhere, settings, job, [Asked(key) for key in server.ids()[:5]]
        ).result(timeout=60)
        for flush in flushes:
            lake.commit(Manifest(added=flush.parts))
    with lake.connect() as connection:
        assert connection.execute("SELECT count(*) FROM completions").fetchone() == (5,)
