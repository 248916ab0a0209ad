"""A source that is gone from one request to the next, and comes back for the next run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from chatlake.config import Settings
from chatlake.simulator import Faults, Running, running
from tests.faults.source_runs import SMALL, VirtualTime, backup_in, check_equal, check_sound
from tests.support import figures, rows, settings_for

PAGES = dataclasses.replace(SMALL, completions=130)
ONE_AT_A_TIME = {"concurrency": 1}
SECOND_PAGE = 106
"""Which request of a first backup, one at a time, asks for the second page of the list."""


def pages_of_messages(server: Running, without: set[str]) -> int:
    """Return how many requests the messages of all others take."""
    return sum(
        max(1, math.ceil(len(record["messages"]) / 100))
        for record in server.truth()
        if record["completion"]["id"] not in without
    )


def check_revived(settings: Settings, revived: Running, whole: set[str]) -> None:
    """Fail unless one more run makes the lake equal, and asks for nothing that is held whole."""
    report = backup_in(VirtualTime(), settings)

    assert report.exit_code == 0
    assert figures(report)["listed"] == len(revived.ids())
    assert figures(report)["unchanged"] == len(whole)
    assert revived.stats()["requests"]["messages"] == pages_of_messages(revived, whole)
    check_equal(settings, revived)


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 4])
def test_dying_among_messages(tmp_path: Path, concurrency: int) -> None:
    """Exit code 6; what was fetched is committed, and the next run fetches just the rest."""
    pace = {"concurrency": concurrency}
    with running(SMALL, Faults(dies_after=9)) as server:
        settings = settings_for(tmp_path, server.base_url, pace=pace)

        report = backup_in(VirtualTime(), settings)

        assert (report.exit_code, report.status) == (6, "failed")
        error = report.sources[0].error
        assert error is not None
        assert "run again" in error.hint
        held = check_sound(settings, server)
        assert len(held.whole) == figures(report)["new"] > 0
        assert rows(settings, "SELECT status FROM runs") == [("failed",)]
    with running(SMALL) as revived:
        settings = settings_for(tmp_path, revived.base_url, pace=pace)
        check_revived(settings, revived, held.whole)


def test_dying_while_the_first_backup_lists(tmp_path: Path) -> None:
    """The second page of the list never comes: the first one's completions are committed."""
    with running(PAGES, Faults(dies_after=SECOND_PAGE - 1)) as server:
        settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)

        report = backup_in(VirtualTime(), settings)

        assert report.exit_code == 6
        assert server.stats()["requests"]["list"] > 1
        held = check_sound(settings, server)
        assert 0 < len(held.whole) == figures(report)["new"] <= 100
    with running(PAGES) as revived:
        settings = settings_for(tmp_path, revived.base_url, pace=ONE_AT_A_TIME)
        check_revived(settings, revived, held.whole)


@pytest.mark.slow
def test_dying_while_a_full_sweep_lists(tmp_path: Path) -> None:
    """A list that ends in the middle says nothing about the rest: no deletion."""
    with running(PAGES) as server:
        settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)
        backup_in(VirtualTime(), settings)
    for _ in range(2):
        with running(PAGES, Faults(dies_after=1)) as server:
            settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)
            report = backup_in(VirtualTime(), settings, full=True)
        assert (report.exit_code, figures(report)["unchanged"]) == (6, 100)
    assert check_sound(settings, server).whole == set(server.ids())
    assert rows(settings, "SELECT count(deleted_at) FROM completions") == [(0,)]
    with running(PAGES) as revived:
        settings = settings_for(tmp_path, revived.base_url, pace=ONE_AT_A_TIME)
        report = backup_in(VirtualTime(), settings, full=True)
        assert (report.exit_code, report.sources[0].run.deleted) == (0, 0)
        check_equal(settings, revived)


@pytest.mark.slow
def test_dying_again_and_again_still_gets_everything(tmp_path: Path) -> None:
    """Each run keeps what it fetched: after enough runs the lake equals the source."""
    whole: set[str] = set()
    for _ in range(6):
        with running(SMALL, Faults(dies_after=7)) as server:
            settings = settings_for(tmp_path, server.base_url, pace=ONE_AT_A_TIME)
            report = backup_in(VirtualTime(), settings)
            held = check_sound(settings, server)
            assert whole < held.whole
            whole = held.whole
            if report.exit_code == 0:
                check_equal(settings, server)
                break
            assert report.exit_code == 6
    assert report.exit_code == 0
