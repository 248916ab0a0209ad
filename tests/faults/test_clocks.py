"""Wrong clocks and other time zones: the lake holds the same, whatever they say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
import time_machine

from chatlake.backup.ports import SilentObserver
from chatlake.bootstrap.backup import open_lake, run_backup
from chatlake.bootstrap.sources import jobs_for
from chatlake.cli.status_facts import gather
from chatlake.config import Settings
from chatlake.model.manifest import SourceRun
from chatlake.simulator import Running, Scenario, running
from tests.command_line import ended, start
from tests.support import KEY, KEY_VARIABLE, NOW, backup, rows, settings_for

TODAY = datetime(2026, 3, 1, 2, tzinfo=UTC)
FAR_FUTURE = datetime(2107, 1, 1, tzinfo=UTC)
BEFORE_ALL = datetime(1970, 1, 2, tzinfo=UTC)
COUNT = 60
SCENARIO = Scenario(completions=COUNT, seed=31, now=NOW)


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve completions of three days."""
    with running(SCENARIO) as server:
        yield server


def backup_at(moment: datetime, settings: Settings, *, full: bool = False) -> SourceRun:
    """Back up while this machine's clock stands at `moment`; return the figures."""
    with time_machine.travel(moment, tick=False):
        report = backup(settings, full=full)
    assert report.exit_code == 0
    return report.sources[0].run


def content(settings: Settings) -> list[tuple[object, ...]]:
    """Return what a lake must hold of the source, without the times of the backups."""
    return rows(
        settings,
        """SELECT source, completion_id, created_at::VARCHAR, created_date::VARCHAR,
                  deleted_at IS NULL, message_count, raw::VARCHAR FROM completions
           UNION ALL
           SELECT source, message_id, created_at::VARCHAR, created_date::VARCHAR, true,
                  message_index, raw::VARCHAR FROM messages ORDER BY ALL""",
    )


def live_through(folder: Path, clock: list[datetime]) -> tuple[Settings, dict[str, str]]:
    """Five nights with growth, edits, a deletion and what comes back, each at its `clock`."""
    # The source's own clock stands: what it grows by is the same for each machine's.
    with running(SCENARIO, clock=lambda: 0.0) as server:
        settings = settings_for(folder, server.base_url, full_sweep_every=None)
        ids = server.ids()
        names = {"edited": ids[-1], "gone": ids[5], "hidden": ids[40]}
        for number, moment in enumerate(clock):
            if number == 1:
                server.edit(names["edited"], {"edit": "1"})
                server.delete(names["gone"])
                server.hide(names["hidden"])
                server.grow(7)
            elif number == 3:
                server.edit(names["edited"], {"edit": "3"})
                server.reveal(names["hidden"])
            backup_at(moment, settings, full=number in (1, 2, 4))
    return settings, names


CHANGES = "SELECT completion_id, change FROM completion_history ORDER BY ALL"


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The lake of a machine whose clock was right."""
    days = [TODAY + timedelta(days=day) for day in range(5)]
    return live_through(tmp_path_factory.mktemp("right"), days)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "clock",
    [
        [TODAY, BEFORE_ALL, FAR_FUTURE, TODAY, BEFORE_ALL],
        [FAR_FUTURE, TODAY, TODAY - timedelta(days=400), TODAY, TODAY],
        [TODAY, TODAY, TODAY, TODAY, TODAY],
    ],
    ids=["leaping", "put back", "standing still"],
)
def test_a_clock_that_jumps_between_runs_changes_nothing(
    right: Settings, tmp_path: Path, clock: list[datetime]
) -> None:
    """Growth, edits, deletions and what comes back end as with a right clock, history in order."""
    settings, names = live_through(tmp_path, clock)

    assert content(settings) == content(right)
    marked = "SELECT completion_id FROM completions WHERE deleted_at IS NOT NULL"
    assert rows(settings, marked) == [(names["gone"],)]
    assert rows(settings, CHANGES) == rows(right, CHANGES)
    for what, changes in (
        ("edited", ["created", "changed", "changed"]),
        ("gone", ["created", "deleted"]),
        ("hidden", ["created", "deleted", "changed"]),
    ):
        told = rows(
            settings,
            "SELECT observed_at, change FROM completion_history"
            f" WHERE completion_id = '{names[what]}' ORDER BY observed_at",
        )
        assert [change for _, change in told] == changes
        assert len({moment for moment, _ in told}) == len(told)


class _Leaping(SilentObserver):
    """Puts the clock somewhere else whenever something happens."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self._clock = clock
        self.leaps = 0

    def progressed(self, source: str, run: SourceRun, fraction: float | None = None) -> None:
        self.leaps += 1
        self._clock.move_to((BEFORE_ALL, FAR_FUTURE, TODAY)[self.leaps % 3])


def test_a_clock_that_jumps_during_a_run_changes_nothing(server: Running, tmp_path: Path) -> None:
    """Neither time-outs nor the order of commits depend on it, and the next run has nothing to do."""
    settings = settings_for(tmp_path, server.base_url, full_sweep_every=None)
    with (
        mock.patch.dict(os.environ, {KEY_VARIABLE: KEY}),
        time_machine.travel(TODAY) as clock,
    ):
        observer = _Leaping(clock)
        report = run_backup(settings, jobs_for(settings), observer)

    assert report.exit_code == 0
    assert observer.leaps > COUNT
    assert {name for (name,) in rows(settings, "SELECT completion_id FROM completions")} == set(
        server.ids()
    )
    again = backup(settings).sources[0].run
    assert (again.new, again.changed, again.files_added) == (0, 0, 0)


@pytest.mark.slow
def test_full_sweeps_come_again_after_a_clock_that_was_ahead(
    server: Running, tmp_path: Path
) -> None:
    """A sweep dated in the future does not put off the others until then."""
    settings = settings_for(tmp_path, server.base_url, full_sweep_every="7d")
    backup_at(FAR_FUTURE - timedelta(days=30), settings)
    assert backup_at(FAR_FUTURE, settings).mode == "full"

    assert backup_at(TODAY, settings).mode == "full"
    assert backup_at(TODAY + timedelta(days=6), settings).mode == "incremental"
    assert backup_at(TODAY + timedelta(days=7), settings).mode == "full"


def test_status_names_the_last_run_after_a_clock_that_was_ahead(
    server: Running, tmp_path: Path
) -> None:
    """The last run is the one that committed last, and nothing is covered until the future."""
    settings = settings_for(tmp_path, server.base_url, full_sweep_every=None)
    backup_at(FAR_FUTURE, settings)
    ahead = gather(open_lake(settings).state, settings, None, TODAY)
    backup_at(TODAY, settings)
    right = gather(open_lake(settings).state, settings, None, TODAY + timedelta(hours=1))

    assert ahead.sources[0].covered_until == TODAY
    assert right.sources[0].covered_until == TODAY
    assert [run.started_at[:4] for run in right.runs] == ["2026", "2107"]


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_another_time_zone_changes_nothing(server: Running, tmp_path: Path, zone: str) -> None:
    """Partitions, times and what SQL prints are in UTC on every host."""
    here = settings_for(tmp_path / "here", server.base_url)
    backup(here)
    there = settings_for(tmp_path / "there", server.base_url)
    query = "SELECT completion_id, created_at, created_date FROM completions ORDER BY ALL"
    words = ["sql", query, "--format", "csv"]
    assert ended(start(tmp_path / "there", "backup", env={"TZ": zone})).code == 0
    shown_there = ended(start(tmp_path / "there", *words, env={"TZ": zone})).out
    shown_here = ended(start(tmp_path / "here", *words, env={"TZ": "UTC"})).out

    assert content(there) == content(here)
    assert len(shown_there.splitlines()) == COUNT + 1
    assert shown_there == shown_here
    assert backup(there).sources[0].run.files_added == 0
