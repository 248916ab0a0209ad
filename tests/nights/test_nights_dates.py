"""Nights with wrong dates, and with configurations that hide them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake.model.tables import COMPLETIONS
from tests.command_line import CommandLine, Ended
from tests.nights.night import Nights
from tests.nights.server import Habits, NightServer, serving
from tests.support import KEY_VARIABLE, NOW, write_config

pytestmark = pytest.mark.slow

DAY = 86_400
FUTURE = pytest.mark.parametrize(
    "future", [3_600, 30 * DAY, 80 * 365 * DAY], ids=["an hour", "a month", "80 years"]
)


@pytest.fixture
def today() -> int:
    """Return the present, UTC seconds: what lies in the future depends on it."""
    return int(time.time())


@FUTURE
@pytest.mark.parametrize("lookback", ["24h", "2h"])
def test_a_row_in_the_future_does_not_shrink_the_lookback(
    nights: Nights, server: NightServer, today: int, future: int, lookback: str
) -> None:
    """Rows that appear late, within the lookback of the real present, are found each night."""
    nights.source = {"lookback": lookback}
    server.grow(20, start=today - 2 * DAY, step=3600)
    server.add(today + future, "chatcmpl-future")
    assert nights.night().code == 0

    for number in range(3):
        new = [server.add(today - 600 + number), server.add(today - 3600 + number)]
        night = nights.night()
        assert night.code in {0, 3}
        assert nights.stored() >= set(new)
    nights.check_holds_all()


@FUTURE
def test_edits_are_found_beside_a_row_in_the_future(
    nights: Nights, server: NightServer, today: int, future: int
) -> None:
    """Metadata edited within the lookback of the present is seen, whatever the newest date says."""
    server.grow(20, start=today - 20 * 600, step=600)
    server.add(today + future, "chatcmpl-future")
    assert nights.night().code == 0
    for number in range(2):
        server.edit(server.ids()[15], number=str(number))
        assert nights.night().figures["changed"] == 1


@pytest.mark.parametrize("milliseconds", [True, False])
def test_a_date_that_lies_is_warned_of(
    nights: Nights,
    server: NightServer,
    today: int,
    caplog: pytest.LogCaptureFixture,
    milliseconds: bool,
) -> None:
    """One row that says milliseconds, or the year 2100, among rows that say seconds: a warning."""
    server.grow(20, start=today - DAY, step=60)
    odd = server.ids()[7]
    server.rows[odd].completion["created"] = (today * 1000) if milliseconds else 4_102_444_800
    with caplog.at_level(logging.WARNING):
        nights.night()
    if milliseconds and not caplog.messages:  # read as what it is
        (row,) = [row for row in nights.table(COMPLETIONS) if row["completion_id"] == odd]
        assert abs(row["created_at"].timestamp() - today) < DAY
    else:
        assert caplog.messages
    nights.check_holds_all()


def test_the_future_row_in_an_early_place(nights: Nights, server: NightServer, today: int) -> None:
    """A row with a wrong date in the middle of the list stops and hides nothing."""
    server.grow(205, start=today - DAY, step=60)
    for place in (0, 99, 100, 180):
        server.rows[server.ids()[place]].completion["created"] = 4_102_444_800
    for full in (False, False, True, True):
        server.grow(30, step=60)
        assert nights.night(full=full).code in {0, 3}
        nights.check_holds_all_but([])
    assert nights.deleted() == set()


@pytest.mark.sample(3)
@pytest.mark.parametrize("created", [0, -5, None, "soon", True, 1e30, {"seconds": 5}, []])
def test_unusable_times_cost_no_row_and_no_night(
    nights: Nights, server: NightServer, today: int, created: Any
) -> None:
    """Whatever is in `created` of some rows, they and all others are stored once."""
    server.grow(40, start=today - 40 * 60, step=60)
    for name in server.ids()[::5]:
        server.rows[name].completion["created"] = created
    for full in (False, False, True, True):
        new = server.grow(5, step=1)
        night = nights.night(full=full)
        assert night.code in {0, 3}
        assert nights.stored() >= set(new)
        nights.check_holds_all_but([])
    assert nights.night().requests["messages"] == 0
    assert nights.deleted() == set()


def test_rows_without_a_time_are_warned_of(
    nights: Nights, server: NightServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no row has a usable time every night lists everything: the run says so, once."""
    server.habits = Habits(created="missing")
    server.grow(150)
    nights.night()
    for _ in range(2):
        caplog.clear()
        server.grow(5)
        with caplog.at_level(logging.WARNING):
            assert nights.night().code == 0
        assert 1 <= len(caplog.messages) <= 3
        nights.check_holds_all()


def numbers(value: Any) -> Iterator[float]:
    """Yield every number in a JSON value."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def keep(server: NightServer, folder: Path, **source: Any) -> None:
    """Write a configuration for the commands."""
    pace = {"max_attempts": 1}
    write_config(folder, server.base_url, **({"pace": pace} | source))


@FUTURE
def test_no_age_is_negative(
    server: NightServer, chatlake: CommandLine, tmp_path: Path, today: int, future: int
) -> None:
    """`status` counts no age below zero, in words or in JSON."""
    server.grow(10, start=today - DAY, step=3600)
    server.add(today + future, "chatcmpl-future")
    keep(server, tmp_path)
    assert chatlake("backup", "--no-progress").code == 0
    status = chatlake("status", "--json")
    assert status.code == 0
    assert [number for number in numbers(status.json) if number < 0] == []
    words = chatlake("status").out.replace("chatcmpl-", "")
    assert not [word for word in words.split() if word[0] == "-" and word[1:2].isdigit()]


def test_status_shows_the_age_of_the_last_sweep(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """After a full sweep it stands in `status`, in words and in JSON."""
    server.grow(10)
    keep(server, tmp_path)
    assert chatlake("backup", "--no-progress").code == 0
    assert "sweep" in chatlake("status").out.lower()
    assert chatlake("backup", "--full", "--no-progress").code == 0
    assert "sweep" in chatlake("status").out.lower()
    assert "sweep" in json.dumps(chatlake("status", "--json").json).lower()


def warnings_of(doctor: Ended, word: str) -> list[str]:
    """Return the lines of a report that warn and hold a word."""
    lines = doctor.out.lower().splitlines()
    return [line for line in lines if word in line]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ({"full_sweep_every": None}, "full_sweep_every"),
        ({"lookback": "0s"}, "lookback"),
        ({"retention": "1h", "lookback": "24h"}, "retention"),
    ],
    ids=["no sweeps", "no lookback", "retention below lookback"],
)
def test_the_doctor_warns_of_what_hides_changes(
    server: NightServer, chatlake: CommandLine, tmp_path: Path, source: dict[str, Any], word: str
) -> None:
    """A configuration that lets changes or deletions pass unseen is warned of, by its key."""
    server.grow(5)
    keep(server, tmp_path)
    plain = chatlake("doctor")
    keep(server, tmp_path, **source)
    doctor = chatlake("doctor")
    assert doctor.code == plain.code == 0
    assert len(warnings_of(doctor, word)) > len(warnings_of(plain, word))


def two_sources(server: NightServer, folder: Path, *names: str, key: str = KEY_VARIABLE) -> None:
    """Write a configuration with sources of one address and one key."""
    pace = {"max_attempts": 1}
    sources = [
        {"name": name, "base_url": server.base_url, "api_key": f"${{{key}}}", "pace": pace}
        for name in names
    ]
    path = folder / "chatlake.yaml"
    path.write_text(json.dumps({"version": 1, "lake": "lake", "sources": sources}))


def test_the_doctor_warns_of_two_sources_that_are_one(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """One address and one key under two names count everything twice: both names are named."""
    server.grow(5)
    two_sources(server, tmp_path, "first", "second")
    lines = chatlake("doctor").out.splitlines()
    assert [line for line in lines if "first" in line and "second" in line]


def test_the_doctor_warns_of_a_renamed_source(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """A source of the lake that the configuration no longer has is named."""
    server.grow(5)
    two_sources(server, tmp_path, "before")
    assert chatlake("backup", "--no-progress").code == 0
    two_sources(server, tmp_path, "after")
    assert "before" in chatlake("doctor").out


@pytest.fixture
def other() -> Iterator[NightServer]:
    """Serve another account."""
    with serving() as server:
        yield server


@pytest.mark.parametrize("size", [1, 30, 120])
@pytest.mark.parametrize("sweeps", [4])
def test_sweeps_of_another_account_mark_nothing(
    nights: Nights, server: NightServer, other: NightServer, size: int, sweeps: int
) -> None:
    """The same name, another account: whatever it holds, nothing of the first is marked."""
    server.grow(40)
    assert nights.night().code == 0
    first = nights.stored()

    for number in range(size):
        other.add(NOW + number * 7, f"chatcmpl-other-{number}")
    nights.server = other
    for number in range(sweeps):
        other.add(NOW + 40_000 + number, f"chatcmpl-other-late-{number}")
        nights.night(full=True)
        assert nights.deleted() == set()

    nights.server = server
    server.grow(5)
    assert nights.night(full=True).code in {0, 3}
    assert nights.stored() >= {*first, *server.ids()}
    assert nights.deleted() & {*first, *server.ids()} == set()


def test_another_account_is_warned_of(
    nights: Nights, server: NightServer, other: NightServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A full sweep that shows nothing of what is stored warns."""
    server.grow(40)
    nights.night()
    for number in range(20):
        other.add(NOW + number, f"chatcmpl-other-{number}")
    nights.server = other
    with caplog.at_level(logging.WARNING):
        night = nights.night(full=True)
    assert caplog.messages or night.code != 0


@pytest.mark.parametrize("left", [1, 5, 39])
def test_what_is_really_deleted_is_still_marked(
    nights: Nights, server: NightServer, left: int
) -> None:
    """Where the account is the same, as one row shows, two sweeps mark the rest as before."""
    server.grow(40)
    assert nights.night().code == 0
    gone = server.ids()[left:]
    server.delete(*gone)
    for _ in range(2):
        assert nights.night(full=True).code == 0
    assert nights.deleted() == set(gone)


@pytest.mark.parametrize("lookback", ["0s", "1s"])
def test_no_lookback_loses_no_new_row(nights: Nights, server: NightServer, lookback: str) -> None:
    """`lookback: 0s` sees no late row, but every new one, also one of the newest second."""
    nights.source = {"lookback": lookback}
    for _ in range(4):
        new = server.grow(9, per_second=2)
        assert nights.night().code == 0
        second = server.rows[new[-1]].seconds
        server.add(second)
        assert nights.night().code == 0
        nights.check_holds_all()
