"""A lake in a bucket: what is forgotten is gone there too, a copy is whole, a forgery is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatlake.bootstrap.forgetting import Choice, forget_choice
from chatlake.bootstrap.maintenance import compact_lake
from chatlake.lake.copying import copy_lake
from chatlake.lake.lake import Lake
from chatlake.lake.manifests import read_head
from chatlake.verify.expectation import Expectation
from chatlake.verify.run import verify, verify_storage
from tests.lake_bytes import files_with
from tests.lake_writer import commit

GONE, STAYS = "forget-me-74312", "stays-with-us-1"
QUERY = "SELECT completion_id, message_id, raw::VARCHAR FROM messages ORDER BY ALL"


def written(location: str) -> Lake:
    """Make a lake with listed and replaced files."""
    lake = Lake.open(location, create=True)
    for key in (STAYS, GONE):
        with lake.lock():
            commit(lake, key)
    compact_lake(lake)
    return lake


def answer(location: str | Path) -> list[tuple[object, ...]]:
    """Ask the views."""
    with Lake.open(location).connect() as connection:
        return connection.execute(QUERY).fetchall()


@pytest.mark.slow
def test_forgotten_in_a_bucket(cloud_lake: str) -> None:
    """No object has a byte of it, and the receipt lies there."""
    lake = written(cloud_lake)
    report = forget_choice(lake, Choice((GONE,)), reason="asked")
    assert report is not None
    assert files_with(lake, GONE) == set()
    assert [file.path for file in lake.storage.list("receipts")] == ["receipts/forget-000001.json"]
    assert {row[0] for row in answer(cloud_lake)} == {STAYS}
    assert verify(Lake.open(cloud_lake)).findings == []


@pytest.mark.slow
def test_copied_to_a_bucket_and_back(cloud_lake: str, tmp_path: Path) -> None:
    """From a folder, to the bucket, to another folder: the same commit, and a forgetting follows."""
    lake = written(str(tmp_path / "lake"))
    there = Lake.open(cloud_lake, create=True)
    back = Lake.open(tmp_path / "back", create=True)
    copy_lake(lake, there, run_id="1")
    copy_lake(Lake.open(cloud_lake), back, run_id="2")
    assert answer(cloud_lake) == answer(tmp_path / "back") == answer(tmp_path / "lake")

    forget_choice(lake, Choice((GONE,)), reason="asked")
    copy_lake(Lake.open(tmp_path / "lake"), Lake.open(cloud_lake), run_id="3")
    assert files_with(there, GONE) == set()
    assert verify(Lake.open(cloud_lake)).findings == []


@pytest.mark.slow
def test_a_fingerprint_of_a_bucket(cloud_lake: str) -> None:
    """It is found in the past after more commits; a made-up one is not."""
    lake = written(cloud_lake)
    head = read_head(lake.storage, lake.state.number)
    assert head is not None
    with lake.lock():
        commit(lake, "later")
    storage = Lake.open(cloud_lake).storage
    assert verify_storage(storage, expectation=Expectation.parse(head.fingerprint)).is_sound
    other = verify_storage(storage, expectation=Expectation.parse("0" * 12))
    assert [finding.kind for finding in other.findings] == ["rewritten"]
