"""A listed file that vanished or was cut is asked for again at the source."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings, load_settings
from chatlake.exports.raw import export_raw
from chatlake.model.manifest import Manifest, SourceRun
from chatlake.model.tables import COLUMNS
from chatlake.simulator import Running, Scenario, running
from chatlake.verify.run import verify
from tests import lake_rows
from tests.pairing import paired
from tests.support import NOW, backup, rows, settings_for, write_config

COUNT = 150
STARTED = "2026-01-01T00:00:00Z"


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve completions of three days, images among them."""
    with running(Scenario(completions=COUNT, seed=4, now=NOW, image_share=0.3)) as server:
        yield server


@pytest.fixture
def settings(server: Running, tmp_path: Path) -> Settings:
    """Back them up once."""
    settings = settings_for(tmp_path, server.base_url)
    backup(settings)
    return settings


def content(settings: Settings) -> list[list[tuple[object, ...]]]:
    """Return everything that a run must restore."""
    return [
        rows(
            settings,
            "SELECT source, completion_id, raw, message_count FROM completions ORDER BY ALL",
        ),
        rows(settings, "SELECT source, message_id, message_index, raw FROM messages ORDER BY ALL"),
        rows(
            settings, "SELECT message_id, part_index, image_sha256 FROM content_parts ORDER BY ALL"
        ),
        rows(settings, "SELECT created_date, sha256, data FROM images ORDER BY ALL"),
    ]


def lines(path: Path) -> list[bytes]:
    """Return what was exported."""
    return path.read_bytes().splitlines()


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("table", "how"),
    paired(["completions", "messages", "content_parts", "images"], ["deleted", "truncated"]),
)
def test_a_lost_file_is_healed_by_the_next_run(
    settings: Settings, table: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After the next run the views hold what they held, and the run says what it missed."""
    before = content(settings)
    lake = open_lake(settings)
    lost = lake.state.table_files(table)[0]
    path = Path(lake.location) / lost.path
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])

    with caplog.at_level(logging.WARNING, "chatlake"):
        report = backup(settings)

    assert report.exit_code == 0
    assert report.sources[0].run.healed_files == 1
    assert lost.path in caplog.text
    assert content(settings) == before
    assert rows(settings, "SELECT healed_files FROM runs ORDER BY started_at") == [(0,), (1,)]
    assert backup(settings).sources[0].run.files_added == 0


def test_an_altered_file_ends_the_run_and_is_healed_once_it_is_deleted(settings: Settings) -> None:
    """Its size is right, so the backup meets it only when it reads it: exit code 7 names the file."""
    before = content(settings)
    lake = open_lake(settings)
    file = lake.state.table_files("completions")[0]
    path = Path(lake.location) / file.path
    data = bytearray(path.read_bytes())
    ids = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data[ids.data_page_offset + ids.total_compressed_size - 5] ^= 1  # in the text of an id
    path.write_bytes(data)

    report = backup(settings, full=True)

    assert report.exit_code == 7
    error = report.sources[0].error
    assert error is not None
    assert file.path in error.message
    assert "chatlake verify" in error.hint
    (finding,) = verify(open_lake(settings)).findings
    assert (finding.path, finding.kind) == (file.path, "altered")
    assert "delete it and run `chatlake backup --full`" in finding.remedy

    path.unlink()
    assert backup(settings, full=True).exit_code == 0
    assert content(settings) == before
    assert verify(open_lake(settings)).findings == []


@pytest.mark.slow
def test_a_day_that_lost_all_but_its_parts_stays_readable(
    server: Running, settings: Settings, tmp_path: Path
) -> None:
    """Completions and messages lost here and at the source: parts remain, and nothing is an orphan."""
    lake = open_lake(settings)
    day = lake.state.table_files("completions")[0].partition
    parts = rows(settings, "SELECT count(*) FROM content_parts")
    ids = lake.stored_versions(day).keys()
    for table in ("completions", "messages"):
        for file in lake.state.partition_files(day, table):
            (Path(lake.location) / file.path).unlink()
    for completion_id in ids:
        server.delete(completion_id)

    assert backup(settings).exit_code == 0

    assert rows(settings, "SELECT count(*) FROM content_parts") == parts
    assert rows(settings, "SELECT count(*) FROM completions") == [(COUNT,)]
    assert verify(open_lake(settings)).findings == []
    path = tmp_path / "export.jsonl"
    export_raw(open_lake(settings), path)
    bare = {"completion": None, "messages": None}
    assert list(map(json.loads, lines(path))).count(bare) == len(ids)


@pytest.mark.slow
def test_a_lost_file_is_healed_after_a_killed_run(settings: Settings) -> None:
    """The run that has to close a killed one before it heals does both."""
    before = content(settings)
    lake = open_lake(settings)
    with lake.lock():
        killed = SourceRun(
            run_id="killed",
            source="openai",
            status="running",
            mode="incremental",
            started_at=STARTED,
        )
        lake.commit(Manifest(run_id="killed", runs=[killed]))
    (Path(lake.location) / lake.state.table_files("messages")[0].path).unlink()

    report = backup(settings)

    assert (report.exit_code, report.sources[0].run.healed_files) == (0, 1)
    assert content(settings) == before
    assert rows(settings, "SELECT status FROM runs WHERE run_id = 'killed'") == [("interrupted",)]


@pytest.mark.slow
def test_a_lost_file_of_one_source_does_not_hinder_the_others(
    server: Running, tmp_path: Path
) -> None:
    """What is new at the sources before it is committed, and its own turn heals it."""
    path = write_config(tmp_path, server.base_url)
    document = msgspec.yaml.decode(path.read_bytes())
    document["sources"].append({**document["sources"][0], "name": "second"})
    path.write_bytes(msgspec.yaml.encode(document))
    settings = load_settings(path)
    backup(settings)
    before = content(settings)
    lake = open_lake(settings)
    partition = lake.state.partitions("second")[0]
    (Path(lake.location) / lake.state.partition_files(partition, "messages")[0].path).unlink()
    new = server.grow(3)

    report = backup(settings)

    assert report.exit_code == 0
    assert [source.run.healed_files for source in report.sources] == [0, 1]
    assert report.sources[0].run.new == len(new)
    assert all(set(were) <= set(are) for were, are in zip(before, content(settings), strict=True))


def test_what_the_source_no_longer_has_stays_readable(
    server: Running, settings: Settings, tmp_path: Path
) -> None:
    """Messages whose completion is lost here and at the source remain, under a bare row."""
    lake = open_lake(settings)
    lost = lake.state.table_files("completions")[0]
    ids = rows(
        settings,
        f"SELECT completion_id FROM completions WHERE created_date = '{lost.created_date}'",
    )
    messages = rows(settings, "SELECT message_id FROM messages ORDER BY ALL")
    (Path(lake.location) / lost.path).unlink()
    for (completion_id,) in ids:
        server.delete(completion_id)

    backup(settings)

    assert rows(settings, "SELECT message_id FROM messages ORDER BY ALL") == messages
    bare = rows(settings, "SELECT completion_id FROM completions WHERE raw IS NULL")
    assert set(bare) <= set(ids)
    path = tmp_path / "export.jsonl"
    assert export_raw(open_lake(settings), path).without_completion == len(bare) > 0
    left = [line for line in map(json.loads, lines(path)) if line["completion"] is None]
    were = {message_id for (message_id,) in messages}
    assert {message["id"] for line in left for message in line["messages"]} < were
    assert all(line["messages"] for line in left)
    orphans = "SELECT count(*) FROM messages ANTI JOIN completions USING (source, completion_id)"
    assert rows(settings, orphans) == [(0,)]


def test_lost_messages_that_the_source_no_longer_has_are_null_in_an_export(
    server: Running, settings: Settings, tmp_path: Path
) -> None:
    """The completions stay, the lost messages are null, and all others are exported completely."""
    path = tmp_path / "export.jsonl"
    export_raw(open_lake(settings), path)
    before = {line["completion"]["id"]: line for line in map(json.loads, lines(path))}
    lake = open_lake(settings)
    lost = lake.state.table_files("messages")[0]
    gone = [
        completion_id
        for (completion_id,) in rows(
            settings,
            f"SELECT completion_id FROM completions WHERE created_date = '{lost.created_date}'",
        )
    ]
    (Path(lake.location) / lost.path).unlink()
    for completion_id in gone:
        server.delete(completion_id)
    backup(settings)

    assert export_raw(open_lake(settings), path).without_messages == len(gone)

    after = {line["completion"]["id"]: line for line in map(json.loads, lines(path))}
    assert after == {
        name: {**line, "messages": None} if name in gone else line for name, line in before.items()
    }


@pytest.mark.sample(1)
@pytest.mark.parametrize("table", ["history", "message_history"])
def test_what_is_in_the_lake_alone_is_not_said_to_be_fetched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    """A lost file of earlier versions leaves the list, and the warning says that they are lost."""
    row = {"completion_id": "x", "message_id": "x-0", "change": "changed", "raw": "{}"}
    row |= {"observed_at": lake_rows.SEEN, "message_index": 0, "direction": "input"}
    row |= {"created_at": lake_rows.NOON * lake_rows.MICRO, "digest": lake_rows.digest("x")}
    found = {name: value for name, value in row.items() if name in COLUMNS[table]}
    with running(Scenario(completions=5, seed=3, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
        lake = open_lake(settings)
        file = lake_rows.write(lake.storage, table, [found])
        with lake.lock():
            lake.commit(Manifest(added=[file]))
        lake.storage.delete(file.path)
        with caplog.at_level(logging.WARNING):
            report = backup(settings)

    assert report.exit_code == 0
    (said,) = [message for message in caplog.messages if file.path in message]
    assert "are lost" in said
    assert "fetched" not in said
    assert file.path not in open_lake(settings).state.files
