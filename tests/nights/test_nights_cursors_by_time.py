"""Nights with a server whose `after=X` gives the rows of a later second: none is skipped."""

from __future__ import annotations

import logging
from typing import Literal

import pytest

from tests.nights.night import Nights
from tests.nights.server import Habits, NightServer
from tests.pairing import paired

pytestmark = pytest.mark.slow

Cursors = Literal["exact", "later", "from"]
CURSORS = pytest.mark.parametrize("cursors", ["later", "exact"])
BY_TIME = pytest.mark.parametrize("cursors", ["later", "from"])
ORDERS = pytest.mark.parametrize("order", ["asked", "desc"])


@pytest.mark.parametrize(
    ("cursors", "ties", "order"),
    [
        ("later", "added", "asked"),
        ("later", "id", "asked"),
        ("later", "id backwards", "asked"),
        ("later", "added", "desc"),
        ("later", "id backwards", "desc"),
        ("from", "added", "asked"),
        ("from", "id", "desc"),
        ("exact", "id backwards", "asked"),
    ],
)
def test_three_a_second_are_stored_night_after_night(
    nights: Nights, server: NightServer, cursors: Cursors, ties: str, order: str
) -> None:
    """205 at first, then 105 each night: every one is stored in its night, exit code 0."""
    server.habits = Habits(cursors=cursors, ties=ties, order=order)  # type: ignore[arg-type]
    server.grow(205, per_second=3)
    assert nights.night().code == 0
    nights.check_holds_all()

    for _ in range(2):
        new = server.grow(105, per_second=3)
        night = nights.night()
        assert (night.code, night.figures["new"]) == (0, len(new))
        nights.check_holds_all()


@pytest.mark.parametrize(("per_second", "cursors"), paired([1, 2, 7, 33, 99], ["later", "exact"]))
def test_any_number_a_second(
    nights: Nights, server: NightServer, cursors: Cursors, per_second: int
) -> None:
    """As long as a second does not fill a page, where the pages end does not matter."""
    server.habits = Habits(cursors=cursors)
    server.grow(5)
    server.grow(200, per_second=per_second)
    assert nights.night().code == 0
    nights.check_holds_all()
    server.grow(20, per_second=per_second)
    assert nights.night().code == 0
    nights.check_holds_all()


@CURSORS
def test_seconds_of_uneven_size(nights: Nights, server: NightServer, cursors: Cursors) -> None:
    """One to seven rows a second: each page ends elsewhere in its second."""
    server.habits = Habits(cursors=cursors)
    for _ in range(2):
        for count in range(40):
            server.grow(1 + count % 7, per_second=7)
        assert nights.night().code == 0
        nights.check_holds_all()


@CURSORS
@ORDERS
def test_full_sweeps_with_moved_boundaries_mark_nothing_that_lives(
    nights: Nights, server: NightServer, cursors: Cursors, order: str
) -> None:
    """Each sweep's pages start elsewhere, because some are deleted; only those are marked."""
    server.habits = Habits(cursors=cursors, order=order)  # type: ignore[arg-type]
    server.grow(205, per_second=3)
    assert nights.night().code == 0

    gone: list[str] = []
    for number in range(4):
        gone.append(server.ids()[2 * number])
        server.delete(gone[-1])
        night = nights.night(full=True)
        assert night.code == 0
        assert night.figures["unchanged"] == 205 - len(gone)
        assert nights.deleted() == set(gone[:-1])
    nights.check_holds_all()


@CURSORS
@pytest.mark.parametrize(("lookback", "early"), [("0s", 1), ("10s", 2)])
def test_a_second_that_one_night_saw_in_part(
    nights: Nights, server: NightServer, cursors: Cursors, lookback: str, early: int
) -> None:
    """The night ended in the middle of a second: the rest of that second comes the next night."""
    server.habits = Habits(cursors=cursors)
    nights.source = {"lookback": lookback}
    server.grow(30, per_second=3)
    for _ in range(2):
        newest = server.grow(early)
        second = server.rows[newest[-1]].seconds
        assert nights.night().code == 0
        late = [server.add(second) for _ in range(2)]
        server.grow(4, per_second=3)
        assert nights.night().code == 0
        assert nights.stored() >= set(late)
    nights.check_holds_all()


@CURSORS
@pytest.mark.parametrize("offset", range(-3, 4))
def test_a_late_row_at_the_edge_of_the_lookback(
    nights: Nights, server: NightServer, cursors: Cursors, offset: int
) -> None:
    """A row that appears within the lookback is found, in whatever second the night begins."""
    server.habits = Habits(cursors=cursors)
    nights.source = {"lookback": "20s"}
    server.grow(75, per_second=3)
    assert nights.night().code == 0
    newest = server.rows[server.ids()[-1]].seconds
    late = [server.add(newest - 17 + offset) for _ in range(2)]

    night = nights.night()
    assert night.code == 0
    if offset >= -3:  # within the 20 seconds
        assert nights.stored() >= set(late)
    nights.check_holds_all()


@pytest.mark.parametrize("size", [101, 200])
@pytest.mark.parametrize("around", [0, 40], ids=["nothing else", "some before and after"])
def test_one_second_fills_pages_of_an_exact_server(
    nights: Nights, server: NightServer, size: int, around: int
) -> None:
    """Where the cursor is a place, a second that fills whole pages is stored, without a warning."""
    server.grow(around)
    server.grow(size, per_second=size)
    server.grow(around)
    for _ in range(2):
        night = nights.night()
        assert night.code == 0
        assert night.requests["list"] <= (size + 2 * around) // 100 + 4
        nights.check_holds_all()
    server.grow(size, per_second=size)
    assert nights.night().code == 0
    nights.check_holds_all()


@pytest.mark.parametrize("size", [100, 101, 205])
@pytest.mark.parametrize(("around", "order"), [(0, "asked"), (40, "desc")])
def test_one_second_that_fills_a_page_is_stored_or_said(
    nights: Nights,
    server: NightServer,
    *,
    caplog: pytest.LogCaptureFixture,
    size: int,
    around: int,
    order: str,
) -> None:
    """A cursor by time cannot pass a page of one second: the list never ends silently."""
    server.habits = Habits(cursors="later", order=order)  # type: ignore[arg-type]
    before = server.grow(around)
    server.grow(size, per_second=size)
    after = server.grow(around)
    for full in (False, True, True):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            night = nights.night(full=full)
        stored = nights.stored()
        assert stored >= {*before, *after}
        assert len(stored) >= 100
        lost = set(server.ids()) - stored
        said = any("second" in message for message in caplog.messages)
        assert not lost or night.code != 0 or said
        assert nights.deleted() == set()


@CURSORS
@pytest.mark.parametrize("created", [True, False], ids=["with created", "without created"])
@pytest.mark.parametrize("per_second", [1, 3, 40])
def test_messages_are_paged_with_the_same_care(
    nights: Nights, server: NightServer, cursors: Cursors, created: bool, per_second: int
) -> None:
    """Of 250 messages all are stored, or the completion is a named failure: never a part in
    silence.
    """
    server.habits = Habits(message_cursors=cursors, message_created=created)
    server.grow(3)
    long = server.add(server.rows[server.ids()[-1]].seconds + 1, messages=250)
    server.rows[long].message_seconds = lambda index: index // per_second

    for _ in range(2):
        night = nights.night()
        if created or cursors == "exact":
            assert night.code == 0
        if night.code == 0:
            nights.check_holds_all()
        else:
            assert (night.code, night.named) == (3, {long})
        server.grow(2)


@pytest.mark.parametrize(("per_second", "messages"), [(1, 1), (3, 101), (50, 1)])
def test_an_exact_server_is_asked_for_little_more(
    nights: Nights, server: NightServer, per_second: int, messages: int
) -> None:
    """At most 2 % more requests than the list's pages and one a page of messages."""
    server.grow(400, per_second=per_second)
    server.converse(server.ids()[3], messages)
    least = 4 + 400 + (messages > 100)
    night = nights.night()
    assert night.code == 0
    assert sum(night.requests.values()) <= 1.02 * least
    nights.check_holds_all()

    nights.source = {"lookback": "1s"}
    server.grow(150, per_second=per_second)
    night = nights.night()
    assert night.code == 0
    assert sum(night.requests.values()) <= 1.02 * (2 + 150) + 1
    nights.check_holds_all()


def test_a_quiet_night_costs_next_to_nothing(nights: Nights, server: NightServer) -> None:
    """Where nothing is new, an exact server is asked for its list, and once more at most."""
    server.grow(90)
    nights.night()
    for _ in range(2):
        night = nights.night()
        assert night.code == 0
        assert night.requests["list"] <= 2
        assert night.requests["messages"] == night.requests["get"] == 0


@pytest.mark.parametrize("cap", [5, 10, 20])
def test_short_pages_by_time(nights: Nights, server: NightServer, cap: int) -> None:
    """A server by time that also sends fewer rows than asked for loses none either."""
    server.habits = Habits(cursors="later", cap=cap)
    server.grow(60, per_second=3)
    assert nights.night().code == 0
    nights.check_holds_all()
    server.grow(31, per_second=3)
    assert nights.night().code == 0
    for _ in range(2):
        assert nights.night(full=True).code == 0
    nights.check_holds_all()


@BY_TIME
def test_a_filtered_source_by_time(nights: Nights, server: NightServer, cursors: Cursors) -> None:
    """With a filter in the configuration the pages are read with the same care."""
    server.habits = Habits(cursors=cursors)
    nights.source = {"select": {"metadata": {"team": "a"}}}
    for _ in range(2):
        for name in server.grow(205, per_second=3):
            server.edit(name, team="a" if int(name[-1]) % 2 else "b")
        assert nights.night().code == 0
        wanted = {
            name for name, row in server.rows.items() if row.completion["metadata"]["team"] == "a"
        }
        assert nights.stored() == wanted
