"""A listed file that vanished or was cut is asked for again at the source."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings
from chatlake.lake.verify import verify
from chatlake.simulator import Running, Scenario, running
from tests.support import NOW, backup, rows, settings_for

COUNT = 150


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


@pytest.mark.parametrize("table", ["completions", "messages", "content_parts", "images"])
@pytest.mark.parametrize("how", ["deleted", "truncated"])
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


def test_a_day_that_lost_all_but_its_parts_stays_readable(
    server: Running, settings: Settings
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


def test_what_the_source_no_longer_has_stays_readable(server: Running, settings: Settings) -> None:
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
    orphans = "SELECT count(*) FROM messages ANTI JOIN completions USING (source, completion_id)"
    assert rows(settings, orphans) == [(0,)]
