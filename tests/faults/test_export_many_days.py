"""An export of many days: its cost grows with the days, not with their square."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatlake.exports.raw import export_raw
from chatlake.lake.catalog.lake_files import LakeFiles
from chatlake.lake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition
from chatlake.storage.bucket.remote import RemoteStorage
from tests import lake_rows as rows
from tests.fake_store import FakeStore

START = datetime(2025, 1, 2, 12, tzinfo=UTC)


def lake_of(days: int) -> Lake:
    """Return a lake in a bucket with one completion a day, so that every look-up is counted."""
    lake = Lake(RemoteStorage("s3://bucket/lake", FakeStore))
    lake.create()
    found = {}
    for index in range(days):
        noon = START + timedelta(days=index)
        created = int(noon.timestamp())
        day = Partition("openai", str(noon.date()))
        key = f"c{index}"
        messages = [rows.message(key, 0, created), rows.message(key, 1, created)]
        completion = rows.completion(key, created)
        found["completions", day] = rows.columns("completions", [completion])
        found["messages", day] = rows.columns("messages", messages)
    with lake.lock("test"):
        lake.commit(Manifest(added=lake.write_parts(found)))
    return lake


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often DuckDB asks for each path."""
    counted: Counter[str] = Counter()
    as_it_is = LakeFiles.glob

    def glob(self: LakeFiles, path: str, **options: Any) -> list[str]:
        counted[path] += 1
        return as_it_is(self, path, **options)

    monkeypatch.setattr(LakeFiles, "glob", glob)
    return counted


def test_a_day_is_looked_up_as_often_in_a_long_history_as_in_a_short_one(
    tmp_path: Path, looked_up: Counter[str]
) -> None:
    """Four times the days: no file is asked for more often, and every completion comes out."""
    asked = {}
    for days in (5, 20):
        lake = lake_of(days)
        looked_up.clear()
        report = export_raw(lake, tmp_path / "raw.jsonl")
        assert (report.completions, report.without_messages) == (days, 0)
        assert len((tmp_path / "raw.jsonl").read_text().splitlines()) == days
        parts = {path: times for path, times in looked_up.items() if "/part-" in path}
        assert len(parts) == 2 * days
        asked[days] = max(parts.values())
    assert asked[20] == asked[5]
