"""Nights with a row that no page can be fetched with: the rest is stored, and the place is named."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.nights.night import Nights
from tests.nights.server import Fault, NightServer, Request
from tests.nights.wire import Answer, error, json_answer
from tests.pairing import paired
from tests.support import NOW

pytestmark = pytest.mark.slow

FAULTS = {
    500: lambda: json_answer(500, error("cannot serialise", "server_error")),
    "html": lambda: Answer(200, b"<html>Bad gateway</html>"),
    "cut": lambda: Answer(200, b'{"object": "list", "data": [{"id": "chatc'),
}


def break_pages_with(server: NightServer, fault: Fault, *bad: str) -> None:
    """Answer each page of the list that would show one of these rows in another way."""

    def answer(request: Request) -> Answer:
        server.faults.clear()
        page = server.answer(request)
        server.asked.pop()
        server.break_list(answer)
        shows = any(name.encode() in page.body for name in bad)
        return FAULTS[fault]() if shows else page  # type: ignore[index]

    server.break_list(answer)


@pytest.mark.parametrize(("place", "fault"), paired([0, 1, 99, 100, 130, 204], FAULTS))
def test_one_row_that_spoils_its_page(
    nights: Nights, server: NightServer, place: int, fault: Fault
) -> None:
    """Wherever it stands, all others are stored each night, and nothing is marked deleted."""
    server.grow(205)
    bad = server.ids()[place]
    break_pages_with(server, fault, bad)
    for full in (False, False, True, True):
        night = nights.night(full=full)
        assert night.code == 3, night.words
        (name,) = night.named
        assert name.startswith("(rows a")
        assert nights.stored() == set(server.ids()) - {bad}
        assert night.requests["list"] <= 40
        server.grow(5)
    assert nights.deleted() == set()

    server.mend()
    assert nights.night(full=True).code == 0
    nights.check_holds_all()


def test_a_stored_row_that_spoils_its_page_later_is_not_deleted(
    nights: Nights, server: NightServer
) -> None:
    """Two full sweeps that cannot read its place say nothing of it."""
    server.grow(205)
    assert nights.night().code == 0
    break_pages_with(server, 500, server.ids()[120])
    for _ in range(3):
        server.grow(3)
        assert nights.night(full=True).code == 3
    assert nights.deleted() == set()
    assert nights.stored() == set(server.ids())


def test_what_lies_between_two_such_rows_is_named(nights: Nights, server: NightServer) -> None:
    """From neither end can it be reached: the failure says from where to where."""
    server.grow(205)
    ids = server.ids()
    break_pages_with(server, 500, ids[50], ids[150])
    night = nights.night()
    assert night.code == 3
    (failure,) = night.report.sources[0].failures
    assert failure.completion_id == f"(rows after {ids[49]})"
    assert f"up to {ids[151]}" in failure.detail
    assert nights.stored() == {*ids[:50], *ids[151:]}

    server.mend()
    assert nights.night(full=True).code == 0
    nights.check_holds_all()


@pytest.mark.parametrize("rows", [40, 205])
def test_a_list_that_breaks_for_all_is_not_one_row(
    nights: Nights, server: NightServer, rows: int
) -> None:
    """Where not even a row that is known can be fetched again, the list is broken: exit code 6."""
    server.grow(rows)
    assert nights.night().code == 0
    new = server.grow(3, start=NOW + 1000)
    server.break_list(500)
    for full in (False, True):
        assert nights.night(full=full).code == 6
        assert nights.failures() == {}
    server.mend()
    assert nights.night().code == 0
    assert set(new) <= nights.stored()


@pytest.mark.parametrize("cursors", ["later", "from"])
@pytest.mark.parametrize(
    ("places", "per_second"), paired([(0,), (1,), (50,), (100,), (120, 121)], [3, 40])
)
def test_such_rows_where_the_cursor_goes_by_time(
    nights: Nights,
    server: NightServer,
    cursors: Literal["later", "from"],
    per_second: int,
    places: tuple[int, ...],
) -> None:
    """What is missing shares a second with the bad row, or stands next to it; and it is named."""
    server.habits.cursors = cursors
    server.grow(205, per_second=per_second)
    ids = server.ids()
    break_pages_with(server, 500, *(ids[place] for place in places))
    near = 10 if per_second < 10 else 2 * per_second
    for _ in range(2):
        night = nights.night()
        assert night.code == 3, night.words
        lost = [ids.index(name) for name in set(ids) - nights.stored()]
        assert set(places) <= set(lost)
        assert all(min(abs(row - place) for place in places) <= near for row in lost)
        assert night.requests["list"] <= 70
        new = server.grow(5)
        ids += new
    assert nights.deleted() == set()

    server.mend()
    assert nights.night(full=True).code == 0
    nights.check_holds_all()
