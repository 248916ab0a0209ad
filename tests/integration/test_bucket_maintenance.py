"""Small files of a lake in a bucket: merged by backups and `compact`, removed by `vacuum`."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from chatlake.bootstrap.maintenance import compact_lake, vacuum_lake
from chatlake.config import Settings
from chatlake.lake.files.replaced import replaced_path
from chatlake.lake.lake import Lake
from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine
from tests.lake_writer import commit
from tests.moto_server import S3Server
from tests.support import NOW, backup, in_bucket, write_config

RUNS = 3
SCENARIO = Scenario(completions=24, seed=8, days=1.5, now=NOW)


@pytest.fixture
def settings(s3_lake: str, tmp_path: Path) -> Settings:
    """Back up the same two days in several runs, without merging them."""
    with running(SCENARIO) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatlake.bootstrap.backup.compact_after", lambda *_: None)
        settings = in_bucket(write_config(tmp_path, server.base_url), s3_lake)
        for number in range(RUNS):
            backup(settings, ids=server.ids()[number::RUNS])
    return settings


def later(days: float) -> time_machine.travel:
    """Go on as if it were so many days later, for the store too: it runs in this process."""
    return time_machine.travel(datetime.now(UTC) + timedelta(days=days), tick=True)


@pytest.mark.slow
def test_rows_stay_and_what_was_replaced_goes_after_a_week(
    chatlake: CommandLine, s3: S3Server, settings: Settings, tmp_path: Path
) -> None:
    """One file a table and day; an export is equal to the byte; then only old files are removed."""
    old = Lake.open(settings.lake_location).state.files
    assert chatlake("export", "raw", "--output", "before.jsonl").code == 0
    compacted = chatlake("compact", "--json")
    lake = Lake.open(settings.lake_location)
    young = chatlake("vacuum", "--json")
    with later(6):
        still_young = chatlake("vacuum", "--dry-run", "--json")
    with later(8):
        told = chatlake("vacuum", "--dry-run", "--json")
        removed = chatlake("vacuum", "--json")
    asked = chatlake("sql", "--json", "SELECT count(DISTINCT completion_id) AS n FROM messages")

    assert compacted.code == 0
    assert set(Counter((f.table, f.partition) for f in lake.state.files.values()).values()) == {1}
    replaced = old.keys() - lake.state.files.keys()
    assert compacted.json["files_removed"] == len(replaced)
    assert (young.json["removed"], young.json["kept"]) == (0, len(replaced))
    assert (still_young.json["removed"], still_young.json["kept"]) == (0, len(replaced))
    for done in (told, removed):
        assert {file["path"] for file in done.json["files"]} == set(map(replaced_path, replaced))
    assert {file.path for file in lake.leftovers()} == set()
    assert lake.missing_files() == []
    assert asked.json == [{"n": SCENARIO.completions}]
    assert chatlake("verify").code == 0
    assert chatlake("export", "raw", "--output", "after.jsonl").code == 0
    assert (tmp_path / "before.jsonl").read_bytes() == (tmp_path / "after.jsonl").read_bytes()


@pytest.mark.slow
def test_every_backup_merges_at_its_end(
    chatlake: CommandLine, s3: S3Server, settings: Settings
) -> None:
    """What earlier runs left small is merged by the next one, and its figures count what is new."""
    before = len(Lake.open(settings.lake_location).state.files)
    with running(SCENARIO) as server:
        in_bucket(write_config(settings.path.parent, server.base_url), settings.lake_location)
        done = chatlake("backup", "--json")
    assert done.code == 0
    assert done.json["sources"][0]["new"] == 0
    lake = Lake.open(settings.lake_location)
    assert len(lake.state.files) < before
    assert chatlake("verify").code == 0


@pytest.mark.slow
def test_what_they_ask_of_the_bucket_is_bounded(s3: S3Server, s3_lake: str) -> None:
    """A compaction reads each file once and moves it; a vacuum only removes."""
    lake = Lake.open(s3_lake, create=True)
    with lake.lock():
        for key in "abcdef":
            commit(lake, key)
    s3.requests.clear()
    report = compact_lake(lake)
    of_data = [method for method, path in s3.requests if "/part-" in path]
    assert report.merged == 12
    assert Counter(of_data) == {
        "GET": report.merged,
        "PUT": report.added + report.merged,
        "HEAD": 2 * report.merged,
        "DELETE": report.merged,
    }
    assert len(s3.requests) - len(of_data) <= 24

    s3.requests.clear()
    removed, _ = vacuum_lake(lake, timedelta(0))
    asked = Counter(method for method, path in s3.requests if "/part-" in path)
    assert asked == {"DELETE": len(removed)} == {"DELETE": 12}
    assert len(s3.requests) - len(removed) <= 14 + lake.state.number
