"""Full sweeps: changes anywhere are found, and what is gone is marked, carefully."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.config import Settings
from chatlake.simulator import Faults, Running, Scenario, running
from tests.support import NOW, backup, figures, rows, settings_for

COUNT = 130  # two pages
FAST = {"max_attempts": 2}
DELETED = "SELECT completion_id FROM completions WHERE deleted_at IS NOT NULL"


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve completions of five days."""
    with running(Scenario(completions=COUNT, seed=21, days=5, now=NOW)) as server:
        yield server


@pytest.fixture
def settings(server: Running, tmp_path: Path) -> Settings:
    """Point a configuration at it; sweeps only when asked for."""
    return settings_for(tmp_path, server.base_url, full_sweep_every=None, lookback="1h", pace=FAST)


def deleted(settings: Settings) -> set[str]:
    """Return what the lake says is gone."""
    return {row[0] for row in rows(settings, DELETED)}


def test_two_sweeps_that_both_miss_it_mark_a_completion_deleted(
    server: Running, settings: Settings
) -> None:
    """After one sweep nothing is marked, after the second it is, and it stays readable."""
    backup(settings)
    gone = {server.ids()[3], server.ids()[110]}
    for completion_id in gone:
        server.delete(completion_id)

    backup(settings)
    assert deleted(settings) == set()
    backup(settings, full=True)
    assert deleted(settings) == set()
    report = backup(settings, full=True)

    assert deleted(settings) == gone
    assert report.sources[0].run.deleted == 2
    readable = rows(settings, "SELECT count(*) FROM messages WHERE completion_id IN"
                    f" ({DELETED})")  # fmt: skip
    assert readable[0][0] > 0
    changes = rows(
        settings, "SELECT completion_id FROM completion_history WHERE change = 'deleted'"
    )
    assert {row[0] for row in changes} == gone
    assert rows(settings, "SELECT count(*) FROM completions") == [(COUNT,)]


@pytest.mark.slow
def test_a_whole_day_that_vanished_is_found(server: Running, settings: Settings) -> None:
    """A partition of which the list shows nothing is missed as well."""
    backup(settings)
    first_day = {
        row[0]
        for row in rows(
            settings,
            "SELECT completion_id FROM completions WHERE created_date ="
            " (SELECT min(created_date) FROM completions)",
        )
    }
    for completion_id in first_day:
        server.delete(completion_id)

    backup(settings, full=True)
    backup(settings, full=True)

    assert deleted(settings) == first_day


@pytest.mark.slow
def test_what_comes_back_is_not_deleted(server: Running, settings: Settings) -> None:
    """Missed once and seen again counts for nothing; marked and seen again is unmarked."""
    backup(settings)
    hidden = server.ids()[40]
    server.hide(hidden)
    backup(settings, full=True)
    server.reveal(hidden)
    backup(settings, full=True)
    server.hide(hidden)
    backup(settings, full=True)
    assert deleted(settings) == set()

    backup(settings, full=True)
    assert deleted(settings) == {hidden}
    server.reveal(hidden)
    backup(settings, full=True)
    assert deleted(settings) == set()
    assert rows(settings, "SELECT count(*) FROM completions") == [(COUNT,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        Faults(error_401=1, routes="list"),
        Faults(error_403=1, routes="list"),
        Faults(dies_after=1),
    ],
    ids=["401", "403", "dies"],
)
def test_a_sweep_that_failed_is_no_sweep(
    server: Running, settings: Settings, fault: Faults
) -> None:
    """A refused or cut-short list never counts as a miss."""
    backup(settings)
    gone = server.ids()[9]
    server.delete(gone)
    backup(settings, full=True)

    server.set_faults(fault)
    assert backup(settings, full=True).exit_code != 0
    assert deleted(settings) == set()


def test_an_empty_list_is_no_deletion(tmp_path: Path, server: Running, settings: Settings) -> None:
    """An account that suddenly shows nothing marks nothing."""
    backup(settings)
    with running(Scenario(completions=0, now=NOW)) as empty:
        elsewhere = settings_for(tmp_path, empty.base_url, full_sweep_every=None)
        backup(elsewhere, full=True)
        backup(elsewhere, full=True)

    assert deleted(settings) == set()


@pytest.mark.slow
def test_a_filtered_sweep_marks_nothing(
    tmp_path: Path, server: Running, settings: Settings
) -> None:
    """A completion that a filter hides is not deleted."""
    backup(settings)
    narrow = settings_for(tmp_path, server.base_url, select={"metadata": {"team": "support"}})
    backup(narrow, full=True)
    backup(narrow, full=True)

    assert deleted(narrow) == set()


def test_a_sweep_finds_an_edit_outside_the_lookback(server: Running, settings: Settings) -> None:
    """Metadata edited long ago are found by a sweep, and only by it."""
    backup(settings)
    server.edit(server.ids()[0], {"reviewed": "late"})

    assert figures(backup(settings))["changed"] == 0
    assert figures(backup(settings, full=True))["changed"] == 1


def test_a_sweep_comes_when_it_is_due(server: Running, tmp_path: Path) -> None:
    """`full_sweep_every` turns an incremental run into a sweep when the last one is that old."""
    weekly = settings_for(tmp_path, server.base_url, full_sweep_every="7d")
    backup(weekly)
    assert backup(weekly).sources[0].run.mode == "incremental"
    always = settings_for(tmp_path, server.base_url, full_sweep_every="1ms")
    assert backup(always).sources[0].run.mode == "full"
    assert backup(weekly).sources[0].run.mode == "incremental"
