"""A backup from a server over HTTP into a lake on disk: what it stores, and what it asks for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.backup import export
from chatlake.config import Settings
from chatlake.simulator import Faults, Running, Scenario, running
from tests.support import NOW, backup, figures, part_files, rows, settings_for

COUNT = 230  # more than two pages


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve a few hundred mixed completions."""
    with running(Scenario(completions=COUNT, seed=11, now=NOW)) as server:
        yield server


@pytest.fixture
def settings(server: Running, tmp_path: Path) -> Settings:
    """Point a configuration at it."""
    return settings_for(tmp_path, server.base_url)


def test_a_first_backup_stores_every_completion(server: Running, settings: Settings) -> None:
    """Every completion and message that the source has is a row, and nothing else is."""
    report = backup(settings)

    assert report.status == "complete"
    assert report.exit_code == 0
    assert figures(report) == {
        "listed": COUNT, "new": COUNT, "changed": 0, "unchanged": 0, "failed": 0,
    }  # fmt: skip
    truth = {
        (item["completion"]["id"], message["id"])
        for item in server.truth()
        for message in item["messages"]
    }
    stored = rows(
        settings, "SELECT completion_id, message_id FROM messages WHERE direction = 'input'"
    )
    assert len(stored) == len(truth)
    assert set(stored) == truth
    ids = [row[0] for row in rows(settings, "SELECT completion_id FROM completions")]
    assert sorted(ids) == sorted(server.ids())


def test_a_second_backup_adds_no_row_and_no_file(settings: Settings) -> None:
    """What is stored and unchanged is neither fetched nor written again."""
    backup(settings)
    files = part_files(settings)
    counts = rows(settings, "SELECT count(*) FROM messages UNION ALL SELECT count(*) FROM images")

    report = backup(settings)

    run = report.sources[0].run
    assert (run.new, run.changed, run.failed, run.files_added) == (0, 0, 0, 0)
    assert part_files(settings) == files
    again = rows(settings, "SELECT count(*) FROM messages UNION ALL SELECT count(*) FROM images")
    assert again == counts


def test_requests_are_near_the_least_possible(server: Running, settings: Settings) -> None:
    """One list request a hundred completions and one a hundred messages of each: within 5 %."""
    needed = math.ceil(COUNT / 100) + sum(
        max(1, math.ceil(len(item["messages"]) / 100)) for item in server.truth()
    )

    report = backup(settings)

    assert report.sources[0].run.requests <= needed * 1.05


def test_edited_metadata_replaces_the_row(server: Running, settings: Settings) -> None:
    """A changed completion has one row, the new one; its first sight is remembered."""
    backup(settings)
    edited = server.ids()[-3]
    query = f"SELECT first_seen_at FROM completions WHERE completion_id = '{edited}'"
    first_seen = rows(settings, query)
    server.edit(edited, {"reviewed": "yes"})

    report = backup(settings)

    assert report.sources[0].run.changed == 1
    stored = rows(
        settings,
        f"SELECT metadata['reviewed'], first_seen_at FROM completions WHERE completion_id = '{edited}'",
    )
    assert stored == [("yes", first_seen[0][0])]
    assert (
        rows(settings, "SELECT count(*), count(DISTINCT message_id) FROM messages")[0]
        == (rows(settings, "SELECT count(DISTINCT message_id), count(*) FROM messages")[0])
    )
    changes = rows(
        settings,
        f"SELECT change FROM completion_history WHERE completion_id = '{edited}' ORDER BY observed_at",
    )
    assert changes == [("created",), ("changed",)]


def test_given_ids_are_stored_and_unknown_ones_are_named(
    server: Running, settings: Settings
) -> None:
    """Unknown and malformed ids are named failures; everything else is stored."""
    known = server.ids()[5:15]
    unknown = ["chatcmpl-" + "0" * 29, "../../x", "with space"]

    report = backup(settings, ids=[*known, *unknown, known[0]])

    assert report.exit_code == 3
    assert report.status == "incomplete"
    assert figures(report)["listed"] == len(known) + len(unknown)
    assert {f.completion_id for f in report.sources[0].failures} == set(unknown)
    stored = {row[0] for row in rows(settings, "SELECT completion_id FROM completions")}
    assert stored == set(known)
    named = {row[0] for row in rows(settings, "SELECT completion_id FROM failures")}
    assert named == set(unknown)


def test_given_ids_do_not_move_the_cursor(server: Running, settings: Settings) -> None:
    """After a backup of single ids the next one still lists everything from the beginning."""
    backup(settings, ids=server.ids()[-2:])

    report = backup(settings)

    assert figures(report)["new"] == COUNT - 2
    assert figures(report)["unchanged"] == 2


@pytest.mark.usefixtures("short_waits")
def test_messages_that_cannot_be_fetched_are_a_named_gap(
    server: Running, settings: Settings
) -> None:
    """The completion is kept, the gap is named, and a later run closes it."""
    server.set_faults(Faults(missing=0.01))
    missing = set(server.missing_ids())
    assert missing

    report = backup(settings)

    assert report.exit_code == 3
    assert figures(report) == {
        "listed": COUNT, "new": COUNT - len(missing), "changed": 0, "unchanged": 0,
        "failed": len(missing),
    }  # fmt: skip
    query = "SELECT completion_id FROM completions WHERE message_count IS NULL"
    assert {row[0] for row in rows(settings, query)} == missing
    gaps = rows(settings, "SELECT completion_id, reason, attempts FROM failures")
    assert set(gaps) == {(completion_id, "not_found", 1) for completion_id in missing}

    server.set_faults(Faults())
    report = backup(settings)

    assert report.exit_code == 0
    assert figures(report)["new"] == len(missing)
    assert rows(settings, "SELECT * FROM failures") == []
    assert rows(settings, query) == []


def test_an_empty_account_is_complete(tmp_path: Path) -> None:
    """Nothing stored at the source is a complete backup of nothing, with all views there."""
    with running(Scenario(completions=0, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        report = backup(settings)

    assert (report.status, report.exit_code) == ("complete", 0)
    assert rows(settings, "SELECT count(*) FROM messages") == [(0,)]
    assert rows(settings, "SELECT source, status, listed FROM runs") == [("openai", "complete", 0)]


def test_the_ledger_adds_up(settings: Settings) -> None:
    """Every run is in the lake: listed = new + changed + unchanged + failed."""
    backup(settings)
    backup(settings)

    ledger = rows(
        settings,
        "SELECT listed, new + changed + unchanged + failed, status FROM runs ORDER BY started_at",
    )
    assert len(ledger) == 2
    assert all(listed == counted and status == "complete" for listed, counted, status in ledger)


def test_a_dry_run_writes_nothing(settings: Settings) -> None:
    """A dry run counts what is there and leaves no lake behind."""
    report = backup(settings, dry_run=True)

    assert figures(report)["new"] == COUNT
    assert not Path(settings.lake_location).exists()


def test_images_of_a_day_are_stored_once(server: Running, settings: Settings) -> None:
    """`images` has one row for source, date and hash, also when runs overlap a day."""
    backup(settings, ids=server.ids()[:200])
    backup(settings)

    doubled = rows(
        settings,
        "SELECT source, created_date, sha256 FROM images GROUP BY ALL HAVING count(*) > 1",
    )
    assert doubled == []
    missing = rows(
        settings,
        "SELECT image_sha256 FROM content_parts p WHERE image_sha256 IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM images i WHERE i.sha256 = p.image_sha256 AND i.source = p.source"
        "  AND i.created_date = p.created_date)",
    )
    assert missing == []
    assert rows(settings, "SELECT count(*) > 0 FROM images") == [(True,)]


def test_images_may_be_kept_as_references(server: Running, tmp_path: Path) -> None:
    """With `images: reference` hashes and sizes stand in the parts and no bytes in the lake."""
    settings = settings_for(tmp_path, server.base_url, images="reference")

    backup(settings)

    assert rows(settings, "SELECT count(*) FROM images") == [(0,)]
    assert rows(settings, "SELECT count(image_sha256) > 0 FROM image_parts") == [(True,)]
    assert rows(
        settings,
        "SELECT count(*) FROM messages WHERE regexp_matches(raw::VARCHAR, ';base64,[A-Za-z0-9]')",
    ) == [(0,)]


def test_a_selection_by_model_and_metadata_holds(server: Running, tmp_path: Path) -> None:
    """Only what the selection names is stored."""
    chosen = {
        item["completion"]["id"]
        for item in server.truth()
        if item["completion"]["metadata"].get("team") == "support"
    }
    settings = settings_for(tmp_path, server.base_url, select={"metadata": {"team": "support"}})

    backup(settings)

    stored = {row[0] for row in rows(settings, "SELECT completion_id FROM completions")}
    assert chosen
    assert stored == chosen


def test_a_widened_selection_is_backfilled(server: Running, tmp_path: Path) -> None:
    """When a filter is removed, the next run lists from the beginning."""
    narrow = settings_for(tmp_path, server.base_url, select={"metadata": {"team": "support"}})
    backup(narrow)
    wide = settings_for(tmp_path, server.base_url)

    backup(wide)

    stored = {row[0] for row in rows(wide, "SELECT completion_id FROM completions")}
    assert stored == set(server.ids())


def test_a_server_that_repeats_the_reply_stores_it_once(tmp_path: Path) -> None:
    """The reply at the end of `/messages` is an output row only."""
    with running(Scenario(completions=60, seed=5, now=NOW, repeat_reply=True)) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
        outputs = sum(len(item["completion"]["choices"]) for item in server.truth())

    stored = rows(settings, "SELECT direction, count(*) FROM messages GROUP BY 1 ORDER BY 1")
    assert dict(stored)["output"] == outputs
    echoes = rows(settings, "SELECT count(*) FROM messages WHERE direction = 'input'"
                  " AND role = 'assistant' AND message_index ="
                  " (SELECT max(message_index) FROM messages m WHERE m.completion_id ="
                  "  messages.completion_id AND m.direction = 'input')")  # fmt: skip
    assert echoes[0][0] < 60 / 4


def test_a_first_backup_writes_each_day_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it has to write, no day is left in pieces that have to be merged."""
    monkeypatch.setattr(export, "FLUSH_BYTES", 2_000_000)
    with running(Scenario(completions=600, days=30, seed=11, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        report = backup(settings)

    manifests = Path(settings.lake_location, "manifests").glob("0*.json")
    commits = [json.loads(path.read_bytes()).get("added", []) for path in manifests]
    assert sum(map(bool, commits)) > 2
    added = [file["path"] for commit in commits for file in commit]
    assert sorted(added) == sorted(part_files(settings))
    assert report.sources[0].run.files_added == len(added)
    assert len(added) == len({path.rpartition("/")[0] for path in added})
