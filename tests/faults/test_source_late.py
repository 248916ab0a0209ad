"""Late visibility: messages that are not there yet, and rows that appear behind newer ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chatlake.config import Settings
from chatlake.simulator import Faults, Running, running
from tests.command_line import CommandLine
from tests.faults.source_runs import (
    REQUESTS,
    SMALL,
    VirtualTime,
    backup_in,
    check_equal,
    check_incomplete,
    check_sound,
)
from tests.support import KEY, KEY_VARIABLE, figures, rows, settings_for

MISSING = Faults(missing=0.15)


@pytest.fixture
def time() -> VirtualTime:
    """Let waits cost no time."""
    return VirtualTime()


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve few completions, the messages of some of which it does not have."""
    with running(SMALL, MISSING) as server:
        assert 0 < len(server.missing_ids()) < len(server.ids())
        yield server


@pytest.fixture
def settings(server: Running, tmp_path: Path) -> Settings:
    """Point a configuration at it."""
    return settings_for(tmp_path, server.base_url, pace={"concurrency": 2})


def test_messages_that_come_late_are_waited_for(
    server: Running, settings: Settings, time: VirtualTime
) -> None:
    """A 404 for what was just listed is asked again over some seconds: no gap, exit code 0."""
    late = len(server.missing_ids())
    began = time.now

    def appear() -> None:
        if len(time.waits) == 2 * late:
            server.set_faults(None)

    time.on_wait = appear
    report = backup_in(time, settings)

    assert report.exit_code == 0
    assert 2 < time.now - began < 10
    assert server.stats()["statuses"] == {"200": REQUESTS, "404": 2 * late}
    check_equal(settings, server)


def test_messages_that_never_come_are_a_gap_and_the_completion_is_kept(
    server: Running, settings: Settings, time: VirtualTime
) -> None:
    """Asked four times over about seven seconds, then named; nothing else is held up by it."""
    missing = server.missing_ids()
    began = time.now

    report = backup_in(time, settings)

    held = check_incomplete(report, settings, server)
    assert held.gaps == set(missing)
    assert server.stats()["statuses"]["404"] == 4 * len(missing)
    assert 6 < time.now - began < 20
    assert {failure.reason for failure in report.sources[0].failures} == {"not_found"}
    kept = rows(settings, "SELECT completion_id FROM completions WHERE message_count IS NULL")
    assert {row[0] for row in kept} == set(missing)


def test_a_gap_shows_its_first_and_last_attempt(
    server: Running,
    settings: Settings,
    time: VirtualTime,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`failures` and `status` show how often it was tried, and when first and last."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    chatlake = CommandLine(capsys)
    for _ in range(3):
        backup_in(time, settings)

    gaps = rows(
        settings,
        "SELECT completion_id, attempts, first_attempt_at, last_attempt_at, r.started_at"
        " FROM failures JOIN runs r USING (run_id)",
    )
    told = chatlake("status", "--config", str(settings.path)).out

    started = [row[0] for row in rows(settings, "SELECT started_at FROM runs ORDER BY ALL")]
    assert {gap[0] for gap in gaps} == set(server.missing_ids())
    for completion_id, attempts, first, last, run_started in gaps:
        assert attempts == 3
        assert started[0] <= first < started[1] < started[2] <= last
        assert run_started == started[2]
        assert f"{completion_id}  not_found, 3 attempts, {first:%Y-%m-%d %H:%M}" in told


def test_gaps_are_asked_for_before_the_list(
    server: Running, settings: Settings, time: VirtualTime
) -> None:
    """They close although the list, which comes after them, is refused."""
    gaps = check_incomplete(backup_in(time, settings), settings, server).gaps
    server.set_faults(Faults(error_403=1, routes="list"))
    server.reset_stats()

    report = backup_in(time, settings)

    assert report.exit_code == 5
    asked = server.stats()["requests"]
    assert (asked["get"], asked["list"]) == (len(gaps), 1)
    assert rows(settings, "SELECT * FROM failures") == []
    check_equal(settings, server)


def test_a_gap_closes_when_it_can_and_is_counted_once(
    server: Running, settings: Settings, time: VirtualTime
) -> None:
    """Still missing, it stays named and is no second row; available, it is new and named no more."""
    gaps = check_incomplete(backup_in(time, settings), settings, server).gaps
    again = backup_in(time, settings)
    assert check_incomplete(again, settings, server).gaps == gaps
    server.set_faults(None)

    report = backup_in(time, settings)

    assert report.exit_code == 0
    assert figures(report) == {
        "listed": 12, "new": len(gaps), "changed": 0, "unchanged": 12 - len(gaps), "failed": 0,
    }  # fmt: skip
    check_equal(settings, server)


def test_rows_that_appear_behind_newer_ones_are_found_by_the_next_run(
    tmp_path: Path, time: VirtualTime
) -> None:
    """Some of the newest are visible before older ones: the lookback finds those later."""
    scenario = dataclasses.replace(SMALL, late_visibility=6.0)
    with running(scenario, clock=time.clock) as server:
        settings = settings_for(tmp_path, server.base_url, lookback="1h")
        assert backup_in(time, settings).exit_code == 0
        grown = server.grow(20)
        time.now += timedelta(seconds=4).total_seconds()
        visible = [completion_id in server.ids() for completion_id in grown]
        behind = [not seen and any(visible[place:]) for place, seen in enumerate(visible)]
        assert any(behind), "no row is late behind a newer one"

        early = backup_in(time, settings)

        assert (early.exit_code, figures(early)["new"]) == (0, sum(visible))
        assert check_sound(settings, server).whole == set(server.ids())
        time.now += 10

        late = backup_in(time, settings)

        assert (late.exit_code, figures(late)["new"]) == (0, len(grown) - sum(visible))
        check_equal(settings, server)
