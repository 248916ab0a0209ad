"""Nights whose cursor is gone: whatever the server responds, no later row is skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.nights.night import Nights
from tests.nights.server import Habits, NightServer, Request
from tests.nights.wire import Answer, page_of
from tests.pairing import paired

pytestmark = pytest.mark.slow

ANSWERS: dict[str, tuple[Any, bool | None]] = {
    "empty": ("empty", False),
    "empty, null": ("empty", None),
    "empty, more": ("empty", True),
    "404": (404, False),
    "400": (400, False),
    "begins anew": ("begin", False),
}
"""How a server answers a cursor that it does not know, and `has_more` in an empty page."""
EMPTY = pytest.mark.parametrize(("unknown", "has_more"), ANSWERS.values(), ids=ANSWERS)


def with_answers(*names: str, values: list[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Let other values take turns over the answers."""
    cases = paired(ANSWERS.items(), values)
    return pytest.mark.parametrize(
        ("unknown", "has_more", *names),
        [pytest.param(*answer, *value, id=f"{name}-{value}") for (name, answer), value in cases],
    )


NO_PAGE: dict[str, Any] = {"first_id": None, "last_id": None}


def habits(unknown: Any, has_more: bool | None, **others: Any) -> Habits:
    """Return the habits of a server that answers an unknown cursor so."""
    return Habits(unknown_cursor=unknown, empty_has_more=has_more, **others)


def first_cursor(nights: Nights) -> str:
    """Return the id that a night continues from, seen in a night in which nothing is new."""
    night = nights.night()
    assert night.code == 0
    return night.lists[0]["after"]


@with_answers("lookback", "step", values=[("0s", 1), ("10s", 1), ("24h", 3600)])
def test_the_row_to_go_on_from_is_deleted(
    nights: Nights,
    server: NightServer,
    *,
    unknown: Any,
    has_more: bool | None,
    lookback: str,
    step: int,
) -> None:
    """Five rows are added and every possible cursor of the night is gone: the five are stored."""
    server.habits = habits(unknown, has_more)
    nights.source = {"lookback": lookback}
    server.grow(40, step=step)
    assert nights.night().code == 0
    for _ in range(2):
        night = nights.night()
        after = night.lists[0].get("after", server.ids()[-1])
        newest = server.ids()[-1]
        server.delete(*{after, newest})
        new = server.grow(5, step=step)

        night = nights.night()
        assert night.code == 0, night.words
        assert night.figures["new"] == 5
        assert nights.stored() >= set(new)
        nights.check_holds_all()


@with_answers("left", values=[(0,), (1,), (10,)])
def test_all_the_newest_are_deleted(
    nights: Nights, server: NightServer, unknown: Any, has_more: bool | None, left: int
) -> None:
    """However many cursors are gone in a row, down to all that the lake holds."""
    server.habits = habits(unknown, has_more)
    nights.source = {"lookback": "5s"}
    server.grow(40)
    assert nights.night().code == 0
    for _ in range(2):
        server.delete(*server.ids()[left:])
        new = server.grow(5)
        night = nights.night()
        assert night.code == 0, night.words
        assert nights.stored() >= set(new)
        nights.check_holds_all()


@with_answers("cursors", values=[("exact",), ("later",)])
def test_a_whole_second_is_deleted(
    nights: Nights, server: NightServer, unknown: Any, has_more: bool | None, cursors: Any
) -> None:
    """The cursor and all that share its second are gone at once."""
    server.habits = habits(unknown, has_more, cursors=cursors)
    nights.source = {"lookback": "4s"}
    server.grow(60, per_second=3)
    after = first_cursor(nights) if nights.night().code == 0 else ""
    for _ in range(2):
        seconds = server.rows[after].seconds
        server.delete(*[name for name, row in server.rows.items() if row.seconds == seconds])
        server.grow(5, per_second=3)
        night = nights.night()
        assert night.code == 0, night.words
        nights.check_holds_all()
        after = first_cursor(nights)


def unlist(server: NightServer, name: str) -> None:
    """Delete a completion from the list; its messages still answer."""
    server.rows[name].hidden = True
    server.rows[name].completion["id"] = f"{name}-gone"


@with_answers("full", "cursors", values=[(False, "exact"), (True, "later")])
def test_the_cursor_is_deleted_in_the_middle_of_a_listing(
    nights: Nights,
    server: NightServer,
    *,
    unknown: Any,
    has_more: bool | None,
    full: bool,
    cursors: Any,
) -> None:
    """Each page's cursor vanishes just before the next page is asked for: 205 of 205 are stored."""
    server.habits = habits(unknown, has_more, cursors=cursors)
    everyone = server.grow(205, per_second=2)
    gone: list[str] = []

    def vanish(request: Request) -> None:
        after = request.query.get("after", "")
        if request.route == "list" and after in server.rows.keys() - set(gone) and len(gone) < 2:
            unlist(server, after)
            gone.append(after)

    server.before = vanish
    night = nights.night(full=full)
    assert gone
    assert night.code == 0, night.words
    assert nights.stored() >= set(everyone)
    server.before = lambda request: None
    for name in gone:
        server.delete(name)
    new = server.grow(5)
    assert nights.night().code == 0
    assert nights.stored() >= set(new)


@EMPTY
def test_rows_deleted_during_sweeps_hide_nothing(
    nights: Nights, server: NightServer, unknown: Any, has_more: bool | None
) -> None:
    """Two sweeps in a row lose a cursor half way: nothing that lives is marked deleted."""
    server.habits = habits(unknown, has_more)
    server.grow(205)
    assert nights.night().code == 0
    gone: set[str] = set()

    def vanish(request: Request) -> None:
        after = request.query.get("after", "")
        if request.route == "list" and after in server.rows and not gone & {after, "now"}:
            server.delete(after)
            gone.update({after, "now"})

    for _ in range(3):
        gone.discard("now")
        server.before = vanish
        night = nights.night(full=True)
        assert night.code in {0, 3}, night.words
        assert nights.deleted() <= gone
    server.before = lambda request: None
    server.grow(5)
    assert nights.night().code == 0
    assert nights.stored() >= set(server.ids())


def answering_with(
    server: NightServer, answer: Answer, when: Callable[[Request], bool]
) -> Callable[[Request], None]:
    """Return what lets a server answer these list requests in this way, and no others."""

    def look(request: Request) -> None:
        server.faults.pop(("list", ""), None)
        if request.route == "list" and when(request):
            server.break_list(lambda _: answer)

    return look


def once(answer: Answer, when: Callable[[Request], bool]) -> Callable[[NightServer], list[Request]]:
    """Return what lets a server answer one list request in this way; it notes which."""

    def install(server: NightServer) -> list[Request]:
        met: list[Request] = []

        def look(request: Request) -> None:
            server.faults.pop(("list", ""), None)
            if request.route == "list" and not met and when(request):
                met.append(request)
                server.break_list(lambda _: answer)

        server.before = look
        return met

    return install


@pytest.mark.parametrize("has_more", [False, None])
@pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])
def test_more_and_then_nothing_is_looked_at_again(
    nights: Nights, server: NightServer, has_more: bool | None, full: bool
) -> None:
    """A page says that there is more, the next is empty this once: nothing is lost."""
    server.grow(205)
    empty = page_of([], NO_PAGE, {"has_more": has_more})
    met = once(empty, lambda request: "after" in request.query)(server)

    night = nights.night(full=full)
    assert met
    assert night.code == 0, night.words
    nights.check_holds_all()


def test_more_and_then_nothing_for_ever_is_not_complete(
    nights: Nights, server: NightServer
) -> None:
    """Where every cursor is answered with nothing, the run does not say that it is complete."""
    server.habits = Habits(unknown_cursor="empty")
    server.grow(205)
    empty = page_of([], NO_PAGE, {"has_more": False})
    server.before = answering_with(server, empty, lambda request: "after" in request.query)
    for full in (False, True, True):
        night = nights.night(full=full)
        assert night.code != 0
        assert len(nights.stored()) >= 100
        assert nights.deleted() == set()
    server.before = lambda request: None
    server.mend()
    assert nights.night().code == 0
    assert nights.night(full=True).code == 0
    nights.check_holds_all()


@pytest.mark.parametrize("hidden", [100, 150])
def test_an_empty_page_with_more_and_a_last_id_is_followed(
    nights: Nights, server: NightServer, hidden: int
) -> None:
    """A server that filters after it has cut its pages sends such: behind them is the rest."""
    server.grow(100)
    for name in server.grow(hidden):
        server.rows[name].hidden = True
    server.grow(10)

    assert nights.night().code == 0
    nights.check_holds_all()
    server.grow(5)
    for full in (False, True, True):
        assert nights.night(full=full).code == 0
        nights.check_holds_all()


def test_an_empty_page_that_says_more_for_ever_ends(nights: Nights, server: NightServer) -> None:
    """An empty page with `has_more` and the same `last_id` each time is not followed endlessly."""
    server.grow(105)
    last = server.ids()[-1]
    empty = page_of([], {"first_id": last, "last_id": last}, {"has_more": True})
    server.before = answering_with(
        server, empty, lambda request: request.query.get("after") == last
    )
    for _ in range(2):
        night = nights.night()
        assert night.requests["list"] <= 20
        assert nights.stored() == set(server.ids())
    assert nights.deleted() == set()


@pytest.mark.parametrize("cap", [20, 60, 99])
@pytest.mark.parametrize("order", ["asked", "desc"])
def test_no_more_after_a_short_page_is_checked(
    nights: Nights, server: NightServer, cap: int, order: Any
) -> None:
    """`has_more` turns false after pages shorter than asked for: rows that are known lie behind."""
    server.habits = Habits(order=order)
    server.grow(205)
    assert nights.night().code == 0

    server.habits = Habits(cap=cap, has_more="false_if_short", order=order)
    for full in (False, True, True, False):
        new = server.grow(5)
        night = nights.night(full=full)
        assert night.code == 0, night.words
        assert nights.stored() >= set(new)
        nights.check_holds_all()


@pytest.mark.parametrize("cap", [20, 60, 99])
@pytest.mark.parametrize("has_more", ["false_if_short", "false"])
def test_no_more_after_the_first_short_page_of_all(
    nights: Nights, server: NightServer, cap: int, has_more: Any
) -> None:
    """The lake is empty and the first page is short: what lies behind it is stored or reported."""
    server.habits = Habits(cap=cap, has_more=has_more)
    for _ in range(3):
        server.grow(105)
        night = nights.night()
        if night.code == 0:
            nights.check_holds_all()
        assert nights.stored()


@pytest.mark.parametrize("has_more", ["false", "missing", "null"])
@pytest.mark.parametrize("order", ["asked", "desc"])
def test_whatever_has_more_says_full_pages_are_followed(
    nights: Nights, server: NightServer, has_more: Any, order: Any
) -> None:
    """`has_more` false, missing or null after full pages: all is stored, every night."""
    server.habits = Habits(has_more=has_more, order=order)
    for full in (False, True, False):
        server.grow(101)
        assert nights.night(full=full).code == 0
        nights.check_holds_all()


def test_an_honest_end_costs_one_request_at_most(nights: Nights, server: NightServer) -> None:
    """If all rows after the cursor are really gone, the night is complete, and the next continues."""
    server.habits = Habits(unknown_cursor="empty")
    nights.source = {"lookback": "10s"}
    server.grow(60)
    assert nights.night().code == 0
    server.delete(*server.ids()[-20:])
    for _ in range(2):
        night = nights.night()
        assert night.code == 0
        assert night.requests["list"] <= 12
    server.grow(5)
    assert nights.night().figures["new"] == 5
    nights.check_holds_all()


@pytest.mark.parametrize("glitch", [page_of([], NO_PAGE, {"has_more": False}), Answer(200, b"{}")])
def test_an_empty_answer_one_night_costs_nothing_later(
    nights: Nights, server: NightServer, glitch: Answer
) -> None:
    """For a whole night every list is empty: nothing is marked, and the next night has it all."""
    server.grow(30)
    assert nights.night().code == 0
    server.grow(5)
    server.break_list(lambda _: glitch)
    for full in (False, True, True):
        nights.night(full=full)
        assert nights.deleted() == set()
    server.mend()
    server.grow(5)
    assert nights.night().code == 0
    nights.check_holds_all()
