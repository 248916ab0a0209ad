"""Nights with servers of other limits, units, cursors and routes: backed up, or refused at once."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatlake.model.tables import COMPLETIONS, MESSAGES
from tests.command_line import CommandLine
from tests.nights.night import Nights
from tests.nights.server import Habits, NightServer
from tests.pairing import paired
from tests.support import NOW, write_config

pytestmark = pytest.mark.slow

CAPS = pytest.mark.parametrize("cap", [1, 5, 20, 50])
ORDERS = pytest.mark.parametrize("order", ["asked", "desc"])


def row_of_nights(nights: Nights, count: int = 65, *, per_second: int = 1, step: int = 1) -> None:
    """Grow and back up, night after night, sweeps among them: everything is stored that night."""
    for full in (False, True, False):
        new = nights.server.grow(count, per_second=per_second, step=step)
        night = nights.night(full=full)
        assert night.code == 0, night.words
        assert nights.stored() >= set(new)
        assert night.figures["failed"] == 0
        nights.check_holds_all()


@CAPS
@ORDERS
def test_pages_shorter_than_asked_for(
    nights: Nights, server: NightServer, cap: int, order: Any
) -> None:
    """A server that never sends more than so many rows, and says that there are more."""
    server.habits = Habits(cap=cap, order=order)
    row_of_nights(nights, 15)


@pytest.mark.parametrize("limit", [99, 50, 20, 10])
def test_a_limit_that_is_refused(nights: Nights, server: NightServer, limit: int) -> None:
    """400 names the greatest limit: the list is asked for in pages of that size."""
    server.habits = Habits(refused_limit=limit)
    row_of_nights(nights)


@pytest.mark.parametrize(
    ("created", "order"),
    paired(["milliseconds", "microseconds", "float", "iso", "text"], ["asked", "desc"]),
)
def test_other_units_of_time(nights: Nights, server: NightServer, created: str, order: Any) -> None:
    """The creation is stored at its real time, and later nights work as with seconds."""
    server.habits = Habits(created=created, order=order)
    row_of_nights(nights, 12, step=3600)

    stored = {
        row["completion_id"]: row["created_at"]
        for row in nights.table(COMPLETIONS, "completion_id", "created_at")
    }
    for name, row in server.rows.items():
        expected = datetime.fromtimestamp(row.seconds, UTC)
        assert abs((stored[name] - expected).total_seconds()) < 1
    if order == "asked":
        quiet = nights.night()
        assert quiet.figures["listed"] < len(server.ids())


@ORDERS
@pytest.mark.parametrize("created", ["missing", "null"])
def test_no_time_at_all(nights: Nights, server: NightServer, created: str, order: Any) -> None:
    """Rows without a creation are stored with a NULL time, each in its night, and once."""
    server.habits = Habits(created=created, order=order)
    row_of_nights(nights, 101)
    assert {row["created_at"] for row in nights.table(COMPLETIONS, "created_at")} == {None}
    assert nights.night().requests["messages"] == 0


@pytest.mark.parametrize(
    ("token", "unknown", "last_id"),
    [
        ("last_id", 400, True),
        ("last_id", 404, True),
        ("last_id", "empty", True),
        ("next", 400, True),
        ("next", "empty", False),
        ("next_cursor", 404, False),
    ],
)
def test_cursors_that_are_no_ids(
    nights: Nights, server: NightServer, token: str, unknown: Any, last_id: bool
) -> None:
    """A page names its cursor: it is used, or the run says that it cannot continue."""
    server.habits = Habits(token=token, unknown_cursor=unknown, last_id=last_id)
    for number, full in enumerate((False, False, True, True)):
        server.grow((130, 170, 100, 120)[number])  # the list ends with a page, short or whole
        night = nights.night(full=full)
        assert len(nights.stored()) >= 100
        assert nights.deleted() == set()
        if token == "last_id":
            assert night.code == 0, night.words
        if night.code == 0:
            nights.check_holds_all()


@pytest.mark.parametrize(("status", "words"), [(501, ("501", "store")), (410, ("410", "retired"))])
def test_what_cannot_be_answered_ends_at_once(
    nights: Nights, server: NightServer, status: int, words: tuple[str, str]
) -> None:
    """No store, or a service that was retired: one request, its own words, nothing marked."""
    server.grow(8)
    assert nights.night().code == 0
    server.habits.everything = status
    for full in (False, True, True):
        night = nights.night(full=full)
        assert night.code not in {0, 3}
        assert sum(night.requests.values()) == 1
        assert all(word in night.words.lower() for word in words)
        assert "network" not in night.words
        assert nights.deleted() == set()
    server.habits.everything = None
    server.grow(3)
    assert nights.night().code == 0
    nights.check_holds_all()


@pytest.mark.parametrize("status", [501, 410])
def test_a_gap_does_not_hide_that_the_service_has_ended(
    nights: Nights, server: NightServer, status: int
) -> None:
    """With twenty gaps open the run says it as soon: a request for each gap at most."""
    server.grow(40)
    bad = server.ids()[::2]
    server.break_for(404, *bad, routes=("messages",))
    assert nights.night().code == 3
    server.habits.everything = status
    night = nights.night()
    assert night.code not in {0, 3}
    assert str(status) in night.words
    assert sum(night.requests.values()) <= len(bad) + 1
    assert nights.failures().keys() == set(bad)


@pytest.mark.parametrize(
    "body",
    [
        b'{"detail":"Not Found"}',
        b"<html>404</html>",
        b'{"error":{"message":"Invalid URL (GET)","type":"invalid_request_error"}}',
        b"",
    ],
    ids=["detail", "html", "invalid url", "empty"],
)
def test_no_messages_route(
    nights: Nights, server: NightServer, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """It is reported once a night; completions and replies are kept, without a failure for each."""
    server.habits = Habits(absent=frozenset({"messages"}), absent_body=body)
    for count in (400, 30, 30):
        caplog.clear()
        server.grow(count)
        with caplog.at_level(logging.WARNING):
            night = nights.night()
        assert night.code in {0, 3}, night.words
        assert nights.stored() == set(server.ids())
        replies = nights.table(MESSAGES, "completion_id", "direction", "content")
        assert {row["content"] for row in replies if row["direction"] == "output"} == {
            f"reply of {name}" for name in server.ids()
        }
        assert len(nights.failures()) <= 1
        assert 1 <= len(caplog.messages) <= 3
        assert "messages" in " ".join(caplog.messages)
        # What was under way, four times each, since it may only be late; then each fiftieth.
        assert night.requests["messages"] <= 200
    assert nights.deleted() == set()


def test_a_messages_route_that_comes_later(nights: Nights, server: NightServer) -> None:
    """Once the server has the route, a full sweep fetches the messages of what was stored before."""
    server.habits = Habits(absent=frozenset({"messages"}))
    server.grow(60)
    assert nights.night().code in {0, 3}
    assert nights.stored() == set(server.ids())
    server.habits = Habits()
    server.grow(5)
    assert nights.night(full=True).code == 0
    nights.check_holds_all()


def test_a_messages_route_that_goes_away(nights: Nights, server: NightServer) -> None:
    """If the route disappears, the stored messages stay, and new completions are still stored."""
    server.grow(20)
    assert nights.night().code == 0
    before = nights.questions()
    server.habits = Habits(absent=frozenset({"messages"}))
    for name in server.ids()[:5]:
        server.edit(name, team="b")
    server.grow(10)
    assert nights.night(full=True).code in {0, 3}
    assert nights.stored() == set(server.ids())
    now = nights.questions()
    assert {name: now[name] for name in before} == before


def test_unknown_completions_are_not_a_missing_route(nights: Nights, server: NightServer) -> None:
    """Some 404s for single completions, in the service's words, are named one by one as before."""
    server.grow(60)
    bad = server.ids()[:40:2]
    server.break_for(404, *bad, routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, set(bad))
    nights.check_holds_all(gaps=bad)


def test_no_route_for_one_completion(nights: Nights, server: NightServer) -> None:
    """A server that lists and has messages, but no `/{id}`, is backed up whole, night by night."""
    server.habits = Habits(absent=frozenset({"get"}))
    row_of_nights(nights)


@pytest.mark.parametrize(
    ("order", "has_more", "per_second"),
    [
        ("desc", "exact", 1),
        ("desc", "missing", 1),
        ("desc", "false", 40),
        ("asc", "exact", 40),
        ("asc", "missing", 1),
    ],
)
def test_a_list_in_its_own_order(
    nights: Nights, server: NightServer, order: Any, has_more: Any, per_second: int
) -> None:
    """Whatever `order` asks for, the list comes in one order: all is stored each night."""
    server.habits = Habits(order=order, has_more=has_more)
    row_of_nights(nights, 101, per_second=per_second)


@pytest.mark.parametrize(
    ("kind", "length"),
    paired([{}, {"cursors": "from"}, {"cap": 20}, {"last_id": False}], [1, 2, 7, 100, 250], 2),
)
def test_a_list_that_always_claims_more(
    nights: Nights, server: NightServer, kind: dict[str, Any], length: int
) -> None:
    """Its end is asked for once more, from an older place, and is no gap then."""
    server.habits = Habits(has_more="true", empty_has_more=True, **kind)
    server.grow(length)
    for full in (False, False, True):
        assert nights.night(full=full).code == 0
        nights.check_holds_all()
        server.grow(3)


LENGTHS = (1, 10, 20, 50, 100, 101)
"""Lists whose last page is whole, or as long as a server's usual limit."""
KINDS: dict[str, dict[str, Any]] = {
    "exact": {},
    "by time": {"cursors": "later"},
    "newest first": {"order": "desc"},
    "newest first, by time": {"order": "desc", "cursors": "later"},
    "opaque cursors": {"token": "last_id", "unknown_cursor": 400},
    "opaque cursors, newest first": {"token": "last_id", "order": "desc", "unknown_cursor": 404},
    "nothing behind the unknown": {"unknown_cursor": "empty"},
    "capped at 20": {"cap": 20},
    "20 at most": {"refused_limit": 20},
}
"""Servers that tell all that they hold."""


@pytest.mark.parametrize(("kind", "length"), paired(KINDS, LENGTHS, 3))
def test_lists_of_any_length(nights: Nights, server: NightServer, kind: str, length: int) -> None:
    """Wherever the last page ends, each night is complete and asks for few pages."""
    server.habits = Habits(**KINDS[kind])
    server.grow(length, per_second=3)
    for full in (False, True, False):
        night = nights.night(full=full)
        assert night.code == 0, night.words
        pages = len(server.rows) // (20 if "20" in kind else 100) + 1
        assert night.requests["list"] <= 2 * pages + 4
        nights.check_holds_all()
        server.grow(1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("cursors", ["exact", "later"])
def test_conversations_of_any_length(
    nights: Nights, server: NightServer, cursors: Any, length: int
) -> None:
    """Wherever the last page of messages ends, all of them are stored, once."""
    server.habits = Habits(message_cursors=cursors)
    server.grow(2)
    server.converse(server.ids()[0], length)
    night = nights.night()
    assert night.code == 0, night.words
    assert night.requests["messages"] <= 2 + length // 100 + 1
    nights.check_holds_all()


def configured(server: NightServer, folder: Path) -> None:
    """Write a configuration for the commands."""
    pace = {"max_attempts": 1}
    write_config(folder, server.base_url, pace=pace)


AGREED = {
    "exact": Habits(),
    "refused limit": Habits(refused_limit=20),
    "refused limit 1": Habits(refused_limit=0),
    "newest first": Habits(order="desc"),
    "no store": Habits(everything=501),
    "retired": Habits(everything=410),
    "not found": Habits(everything=404),
    "forbidden": Habits(everything=403),
    "no list": Habits(absent=frozenset({"list"})),
}


@pytest.mark.parametrize("habits", AGREED.values(), ids=AGREED)
def test_the_doctor_and_the_backup_agree(
    server: NightServer, chatlake: CommandLine, tmp_path: Path, habits: Habits
) -> None:
    """What the doctor passes is backed up, and what cannot be backed up it does not pass."""
    server.habits = habits
    server.grow(30, start=NOW)
    configured(server, tmp_path)
    doctor = chatlake("doctor")
    run = chatlake("backup", "--no-progress")
    assert (doctor.code == 0) == (run.code == 0), doctor.out + doctor.err + run.err


@pytest.mark.parametrize("status", [501, 410])
def test_the_doctor_says_that_the_service_has_ended(
    server: NightServer, chatlake: CommandLine, tmp_path: Path, status: int
) -> None:
    """501 and 410 have words of their own, with the same exit code as the run's."""
    server.habits.everything = status
    configured(server, tmp_path)
    doctor, run = chatlake("doctor"), chatlake("backup", "--no-progress")
    word = "store" if status == 501 else "retired"
    assert word in (doctor.out + doctor.err).lower()
    assert word in run.err.lower()
    assert len(run.err.strip().splitlines()) <= 3
    assert doctor.code == run.code != 0


def test_the_doctor_asks_the_list_as_the_backup_does(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """Its request for the list has the parameters of a backup's first one."""
    server.grow(3)
    configured(server, tmp_path)
    chatlake("doctor")
    by_doctor = server.lists()
    server.forget_requests()
    chatlake("backup", "--no-progress")
    (first, *_) = server.lists()
    assert first in by_doctor


@pytest.mark.parametrize(
    "habits",
    [
        Habits(absent=frozenset({"messages"})),
        Habits(order="desc"),
        Habits(created="missing"),
    ],
    ids=["no messages", "newest first", "no time"],
)
def test_the_doctor_says_what_is_unlike_the_api(
    server: NightServer, chatlake: CommandLine, tmp_path: Path, habits: Habits
) -> None:
    """A server that can be backed up only in part, or only at a cost, is not passed without a word."""
    configured(server, tmp_path)
    server.grow(30)
    plain = chatlake("doctor")
    server.habits = habits
    odd = chatlake("doctor")
    assert len(odd.out.splitlines()) >= len(plain.out.splitlines())
    assert plain.out.count("\n! ") == 0
    assert odd.out.count("\n! ") > 0 or odd.code != 0
