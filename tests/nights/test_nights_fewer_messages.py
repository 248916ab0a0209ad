"""Nights in which `/messages` answers fewer than before: what was stored once stays readable."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from chatlake.bootstrap.maintenance import vacuum_lake
from chatlake.model.tables import COMPLETIONS, MESSAGE_HISTORY
from tests.nights.night import Nights
from tests.nights.server import Habits, NightServer
from tests.support import rows

pytestmark = pytest.mark.slow

FULL = pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])
LEFT = pytest.mark.parametrize("left", [0, 1, 2])


@pytest.fixture
def spoken(nights: Nights, server: NightServer) -> str:
    """Store a dozen completions, of which one has three messages; return that one."""
    server.grow(12)
    name = server.ids()[5]
    server.converse(name, 3)
    assert nights.night().code == 0
    return name


def check_all_readable(nights: Nights, name: str, count: int = 3) -> None:
    """Fail unless each of the first messages stands in a listed file, which no vacuum removes."""
    assert nights.lost(*(f"question {index} of {name}" for index in range(count))) == []


@pytest.mark.sample(2)
@FULL
@LEFT
def test_a_stored_list_is_not_lost_to_a_shorter_one(
    nights: Nights,
    server: NightServer,
    *,
    spoken: str,
    full: bool,
    left: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After an edit fewer messages come: all three stay readable, and a warning names it."""
    server.edit(spoken, team="b")
    server.converse(spoken, left)
    with caplog.at_level(logging.WARNING):
        night = nights.night(full=full)

    assert night.code in {0, 3}
    assert left or (night.code, night.named) == (3, {spoken})
    assert night.named or any(spoken in message for message in caplog.messages)
    check_all_readable(nights, spoken)
    if night.code == 0:
        (row,) = [row for row in nights.table(COMPLETIONS) if row["completion_id"] == spoken]
        assert dict(row["metadata"]) == {"team": "b"}

    for again in (False, True, True):
        new = server.grow(3)
        nights.night(full=again)
        assert nights.stored() >= set(new)
    check_all_readable(nights, spoken)
    assert nights.deleted() == set()


def test_fewer_messages_and_no_new_one_leave_the_rows_alone(
    nights: Nights, server: NightServer, spoken: str
) -> None:
    """Where one of three messages comes again, `messages` still has all three, in order."""
    stored = server.questions()[spoken]
    server.edit(spoken, team="b")
    server.converse(spoken, 1)
    assert nights.night().figures["changed"] == 1
    assert len(stored) == 3
    assert nights.questions()[spoken] == stored
    assert nights.table(MESSAGE_HISTORY) == []


def test_a_new_message_takes_the_place_of_a_lost_one(
    nights: Nights, server: NightServer, spoken: str
) -> None:
    """`messages` has what comes now; the one that no longer comes, and no other, is in the history."""
    server.edit(spoken, team="b")
    server.converse(spoken, 4)
    lost = server.rows[spoken].messages.pop(0)
    assert nights.night().figures["changed"] == 1
    assert nights.questions()[spoken] == [f"question {index} of {spoken}" for index in (1, 2, 3)]
    assert [row["content"] for row in nights.table(MESSAGE_HISTORY)] == [lost["content"]]
    check_all_readable(nights, spoken, count=4)


@FULL
def test_an_empty_answer_is_a_gap_until_the_messages_come_again(
    nights: Nights, server: NightServer, spoken: str, full: bool
) -> None:
    """An empty 200 keeps what is stored and is named, each night, until the server answers."""
    server.edit(spoken, team="b")
    server.converse(spoken, 0)
    for _ in range(2):
        server.grow(3)
        night = nights.night(full=full)
        assert (night.code, night.named) == (3, {spoken})
        assert nights.failures().keys() == {spoken}
        assert len(nights.questions()[spoken]) == 3
        check_all_readable(nights, spoken)

    server.converse(spoken, 3)
    assert nights.night(full=full).code == 0
    nights.check_holds_all()
    assert nights.night().figures["changed"] == 0


def test_the_views_show_them_after_a_vacuum(nights: Nights, server: NightServer) -> None:
    """Whatever of three messages is left at the source, SQL finds all three after a vacuum."""
    nights.on_disk = True
    names = server.grow(6)
    for name in names:
        server.converse(name, 3)
    assert nights.night().code == 0
    for number, name in enumerate(names):
        server.edit(name, team="b")
        server.converse(name, number % 3)
    for full in (False, True):
        nights.night(full=full)
    vacuum_lake(nights.lake(), timedelta(0))
    said = [f"question {index} of {name}" for name in names for index in range(3)]
    assert nights.unreadable(*said) == []


@pytest.mark.sample(1)
@FULL
def test_the_history_keeps_both_versions(nights: Nights, server: NightServer, full: bool) -> None:
    """The completion's edit is in `completion_history` beside its first version."""
    nights.on_disk = True
    spoken = server.grow(3)[1]
    server.converse(spoken, 3)
    assert nights.night().code == 0
    server.edit(spoken, team="b")
    server.converse(spoken, 1)
    nights.night(full=full)
    nights.night()
    server.edit(spoken, team="c")
    nights.night(full=full)

    found = rows(
        nights.settings,
        f"SELECT change FROM completion_history WHERE completion_id = '{spoken}' ORDER BY "
        "observed_at",
    )
    assert found[0] == ("created",)
    assert set(found[1:]) == {("changed",)}
    check_all_readable(nights, spoken)


@FULL
def test_lists_that_shrink_and_grow_again(
    nights: Nights, server: NightServer, spoken: str, full: bool
) -> None:
    """Three, then one, two, none, three, five messages: at the end five, and none ever lost."""
    for number, count in enumerate((1, 2, 0, 3, 5)):
        server.edit(spoken, number=str(number))
        server.converse(spoken, count)
        nights.night(full=full)
        check_all_readable(nights, spoken)

    nights.night(full=True)
    assert nights.night().code == 0
    assert nights.failures() == {}
    assert nights.questions()[spoken] == server.questions()[spoken]
    check_all_readable(nights, spoken, count=5)


@FULL
def test_a_longer_list_takes_the_place_of_a_shorter_one(
    nights: Nights, server: NightServer, spoken: str, full: bool
) -> None:
    """More messages than before after an edit are simply stored: no gap and no double."""
    server.edit(spoken, team="b")
    server.converse(spoken, 5)
    assert nights.night(full=full).figures["changed"] == 1
    assert nights.failures() == {}
    nights.check_holds_all()


def test_many_that_shrink_at_once(nights: Nights, server: NightServer) -> None:
    """A night in which every completion was edited and lost its messages loses none of them."""
    for name in server.grow(40):
        server.converse(name, 3)
    assert nights.night().code == 0
    names = server.ids()
    for name in names:
        server.edit(name, team="b")
        server.converse(name, int(name[-1]) % 3)
    for full in (False, True, True):
        nights.night(full=full)
    said = [f"question {index} of {name}" for name in names for index in range(3)]
    assert nights.lost(*said) == []
    assert {name for name in names if int(name[-1]) % 3 == 0} == nights.failures().keys()


@pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])
def test_messages_of_a_new_completion_that_come_late(
    nights: Nights, server: NightServer, full: bool
) -> None:
    """One created just now, with prompt tokens and an empty 200, is a gap, and filled later.

    One of long ago is what it is: the service had time enough to show its messages.
    """
    server.grow(9, start=int(time.time()) - 86_400)
    server.add(server.rows[server.ids()[-1]].seconds + 1, messages=0)
    late = server.add(int(time.time()) - 60, messages=0)
    night = nights.night()
    assert (night.code, night.named) == (3, {late})

    server.converse(late, 2)
    server.grow(3)
    assert nights.night(full=full).code == 0
    nights.check_holds_all()


def test_an_empty_answer_that_passes_costs_a_request(nights: Nights, server: NightServer) -> None:
    """An empty 200 once, then the messages: asked again the same night, nothing is named."""
    server.grow(10, start=int(time.time()) - 60)
    name = server.ids()[4]
    server.converse(name, 3)
    server.break_for("empty", name, routes=("messages",))
    asked = 0

    def settle_down(request: object) -> None:
        nonlocal asked
        if getattr(request, "completion_id", "") == name:
            asked += 1
            if asked > 1:
                server.mend()

    server.before = settle_down
    assert nights.night().code == 0
    nights.check_holds_all()
    assert asked == 2


def test_a_completion_without_inputs_stays_without(nights: Nights, server: NightServer) -> None:
    """If nothing says that there were inputs, an empty 200 is accepted as true."""
    server.grow(5)
    bare = server.add(
        server.rows[server.ids()[-1]].seconds + 1, messages=0, usage=None, metadata={}
    )
    assert nights.night().code == 0
    server.edit(bare, team="b")
    assert nights.night().code == 0
    assert nights.night(full=True).code == 0
    nights.check_holds_all()


def keep_the_first(count: int) -> Callable[[NightServer, str], None]:
    """Return a habit that makes a server forget all but this many of the messages."""

    def forget(server: NightServer, name: str) -> None:
        server.rows[name].messages = server.rows[name].messages[:count]

    return forget


def keep_the_last(count: int) -> Callable[[NightServer, str], None]:
    """Return a habit that makes a server forget all but the last so many."""

    def forget(server: NightServer, name: str) -> None:
        server.rows[name].messages = server.rows[name].messages[-count:]

    return forget


@pytest.mark.parametrize("forget", [keep_the_first(100), keep_the_last(1), keep_the_last(249)])
def test_long_lists_that_shrink(
    nights: Nights, server: NightServer, forget: Callable[[NightServer, str], None]
) -> None:
    """Of 250 messages only some come after an edit, the first or the last: all stay readable."""
    server.grow(3)
    long = server.ids()[1]
    server.converse(long, 250)
    assert nights.night().code == 0
    server.edit(long, team="b")
    forget(server, long)
    nights.night()
    assert nights.lost(*(f"question {index} of {long}" for index in range(250))) == []


def test_messages_alone_that_shrink_cost_nothing(nights: Nights, server: NightServer) -> None:
    """Where only `/messages` forgets, no night, no sweep and no request by id loses a message."""
    server.habits = Habits()
    server.grow(6)
    name = server.ids()[2]
    server.converse(name, 3)
    assert nights.night().code == 0
    server.converse(name, 1)
    for full in (False, True, True):
        nights.night(full=full)
    nights.night(ids=[name])
    check_all_readable(nights, name)
