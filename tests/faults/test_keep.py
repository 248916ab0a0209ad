"""`keep`: days that are too old go for good; nothing brings them back or calls them deleted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.bootstrap.forgetting import forget_expired
from chatlake.bootstrap.maintenance import tidy_lake
from chatlake.config import Settings, load_settings
from chatlake.errors import ConfigurationError
from chatlake.lake import Lake
from chatlake.model.manifest import Failure, Manifest
from chatlake.simulator import Running, Scenario, running
from chatlake.verify.run import verify
from tests import lake_rows
from tests.command_line import CommandLine
from tests.forked import killed
from tests.lake_bytes import files_with
from tests.lake_writer import commit
from tests.support import (
    NOW,
    backup,
    figures,
    rows,
    settings_for,
    write_config,
)

DAY_S = 86_400
OLD = "of-a-day-long-past-1"
DAYS = "SELECT created_date::VARCHAR, count(*) FROM completions GROUP BY 1 ORDER BY 1"
POINTS = [
    "commit.started", "manifest.written", "manifest.linked", "commit.applied", "forget.committed",
    "catalog.written", "catalog.swapped", "tidying.started", "tidying.erased", "tidying.ended",
]  # fmt: skip


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve completions of five days, with images."""
    with running(Scenario(completions=60, seed=21, days=5, now=NOW, image_share=0.3)) as server:
        yield server


def kept_from(day: int) -> str:
    """Return a `keep` by which the lake begins with a day, counted from the simulator's today."""
    return f"{int(time.time()) // DAY_S - NOW // DAY_S - day}d"


def configured(folder: Path, server: Running, keep: str | None = None) -> Settings:
    """Write the configuration, with or without `keep`."""
    settings = settings_for(folder, server.base_url, retention="3650d", full_sweep_every=None)
    if keep is None:
        return settings
    settings.path.write_text(settings.path.read_text() + f"keep: {keep}\n")
    return load_settings(settings.path)


def expire(settings: Settings) -> Any:
    """Forget what is too old."""
    assert settings.keep is not None
    return forget_expired(open_lake(settings), settings.keep)


def test_days_that_are_too_old_go_for_good(server: Running, tmp_path: Path) -> None:
    """Whole days, images and history included, in every file; the others stay as they are."""
    before = configured(tmp_path, server)
    backup(before)
    server.edit(server.ids()[0], {"edited": "yes"})
    backup(before, full=True)
    days = rows(before, DAYS)
    first = str(datetime.fromtimestamp(NOW - 2 * DAY_S, UTC).date())
    gone = rows(before, f"SELECT completion_id FROM completions WHERE created_date < '{first}'")
    settings = configured(tmp_path, server, kept_from(-2))

    report = expire(settings)

    lake = open_lake(settings)
    assert report is not None
    assert report.receipt.completions == len(gone) > 0
    assert report.receipt.versions > 0
    assert report.receipt.hashes == []
    assert rows(settings, DAYS) == [day for day in days if day[0] >= first]
    assert files_with(lake, *(row[0] for row in gone)) == set()
    assert verify(lake).is_sound
    assert expire(settings) is None
    receipt = json.loads(Path(report.path).read_text())
    assert receipt["erased"]["completions"] == len(gone)
    assert receipt["reason"].startswith("older than keep: ")


def test_the_next_backups_leave_them_out(server: Running, tmp_path: Path) -> None:
    """Neither an incremental run nor a sweep fetches them, and an id that is asked for is not."""
    backup(configured(tmp_path, server))
    settings = configured(tmp_path, server, kept_from(-2))
    oldest = server.ids()[0]
    expire(settings)
    days = rows(settings, DAYS)

    again, swept = backup(settings), backup(settings, full=True)
    asked = backup(settings, ids=[oldest])

    assert (figures(again)["new"], figures(swept)["new"], figures(asked)["new"]) == (0, 0, 0)
    assert figures(swept)["unchanged"] == sum(count for _, count in days)
    assert rows(settings, DAYS) == days


def test_what_is_not_forgotten_yet_is_not_taken_for_deleted(
    server: Running, tmp_path: Path
) -> None:
    """Sweeps between two maintenances pass over old days; a deletion that is real is still found."""
    backup(configured(tmp_path, server))
    settings = configured(tmp_path, server, kept_from(-2))
    gone = server.ids()[-3]
    server.delete(gone)

    for _ in range(3):
        backup(settings, full=True)

    deleted = "SELECT completion_id FROM completions WHERE deleted_at IS NOT NULL"
    assert rows(settings, deleted) == [(gone,)]
    expire(settings)
    assert rows(settings, deleted) == [(gone,)]


def test_an_open_gap_that_is_too_old_is_closed(server: Running, tmp_path: Path) -> None:
    """A completion that the lake would not keep is not requested every night."""
    before = configured(tmp_path, server)
    backup(before)
    lake = open_lake(before)
    failure = Failure(
        source="openai", completion_id="chatcmpl-gone", reason="rejected", detail="", created=1000
    )
    with lake.lock():
        lake.commit(Manifest(failures=[failure]))

    report = backup(configured(tmp_path, server, kept_from(-2)))

    assert report.exit_code == 0
    assert open_lake(before).state.failures == {}


def test_against_the_api_old_days_are_no_gap(
    server: Running, tmp_path: Path, chatlake: CommandLine
) -> None:
    """What was forgotten by age is not missing, and what is about to be is not extra."""
    backup(configured(tmp_path, server))
    settings = configured(tmp_path, server, kept_from(-2))

    before = chatlake("verify", "--against-api", "--json")
    expire(settings)
    after = chatlake("verify", "--against-api", "--json")

    for done in (before, after):
        (source,) = json.loads(done.out)["sources"]
        assert (done.code, source["missing"], source["extra"]) == (0, [], [])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with an old day, and a file of a killed run beside it."""
    write_config(tmp_path, "http://127.0.0.1:1/v1")
    lake = Lake.open(tmp_path / "lake", create=True)
    with lake.lock():
        commit(lake, OLD)
    killed(lake.location, f"{OLD}-too", at="commit.started", environment=os.environ)
    return Lake.open(lake.location)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step(lake: Lake, point: str) -> None:
    """Either nothing has changed, or it ends by itself: the next writer removes the rest."""
    killed(lake.location, "--expire", at=point, environment=os.environ)

    left = Lake.open(lake.location)
    tidy_lake(left)
    if left.state.forgotten.receipts:
        assert files_with(left, OLD) == set()
    else:
        assert verify(left).is_sound
        assert forget_expired(Lake.open(lake.location), timedelta(days=1)) is not None
    after = Lake.open(lake.location)
    assert files_with(after, OLD) == set()
    assert after.state.files == {}
    assert verify(after).is_sound


def test_completions_without_a_time_stay(tmp_path: Path) -> None:
    """Nobody knows how old they are."""
    lake = Lake.open(tmp_path / "lake", create=True)
    timeless = type(lake_rows.DAY)(lake_rows.DAY.source, "1970-01-01")
    with lake.lock():
        table = lake_rows.columns("completions", [lake_rows.completion("timeless")])
        lake.commit(Manifest(added=lake.write_parts({("completions", timeless): table})))

    assert forget_expired(lake, timedelta(days=1)) is None
    assert len(lake.state.files) == 1


def test_the_command(server: Running, tmp_path: Path, chatlake: CommandLine) -> None:
    """`forget --expired` says first what would go; without `keep` there is nothing to expire."""
    backup(configured(tmp_path, server))
    refused = chatlake("forget", "--expired", "--yes")
    configured(tmp_path, server, kept_from(-2))

    look = json.loads(chatlake("forget", "--expired", "--dry-run", "--json").out)
    done = json.loads(chatlake("forget", "--expired", "--yes", "--json").out)

    assert refused.code == 2
    assert "has no `keep`" in refused.err
    assert look["selected"] == done["completions"] > 0
    assert "Nothing to forget" in chatlake("forget", "--expired", "--yes").out


@pytest.mark.parametrize("written", ["2m", "12h", "500ms", "1d12h", "90", "2 y", "2months", "0d"])
def test_only_whole_days_can_be_kept(tmp_path: Path, written: str) -> None:
    """`2m` is refused: one reader takes it for two months, another for two minutes."""
    path = write_config(tmp_path, "http://127.0.0.1:1/v1")
    path.write_text(path.read_text() + f"keep: {written}\n")
    with pytest.raises(ConfigurationError, match=r"keep: got .*, expected (whole days|a duration)"):
        load_settings(path)
