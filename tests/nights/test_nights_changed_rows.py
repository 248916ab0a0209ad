"""Nights in which a completion has changed: its new state is stored, whatever else fails."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from chatlake.model.tables import COMPLETIONS
from tests.nights.night import Nights
from tests.nights.server import Fault, NightServer, Request
from tests.nights.wire import Answer


def metadata(nights: Nights) -> dict[str, dict[str, str]]:
    """Return the metadata that the lake holds."""
    rows = nights.table(COMPLETIONS, "completion_id", "metadata")
    return {row["completion_id"]: dict(row["metadata"] or ()) for row in rows}


@pytest.mark.sample(4)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("fault", [404, 403, 500, "reset", "html", 204])
def test_new_metadata_is_stored_though_the_messages_fail(
    nights: Nights, server: NightServer, caplog: pytest.LogCaptureFixture, fault: Fault, full: bool
) -> None:
    """Its gap is named, and the messages stay as they were, until they come again."""
    server.grow(6)
    assert nights.night().code == 0
    edited = server.ids()[2]
    server.edit(edited, reviewed="yes")
    said = Answer(204) if fault == 204 else None
    server.break_for((lambda _: said) if said else fault, edited, routes=("messages",))

    for _ in range(2):
        night = nights.night(full=full)
        assert (night.code, night.named) == (3, {edited})
        assert metadata(nights)[edited] == {"reviewed": "yes"}
        assert nights.questions() == server.questions()
        assert nights.attempts(edited) >= 1
    assert "no longer sends" not in caplog.text
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()
    assert metadata(nights)[edited] == {"reviewed": "yes"}


def test_changed_replies_do_not_displace_what_was_asked(
    nights: Nights, server: NightServer
) -> None:
    """Where the replies differ too, the stored messages all stay until the messages come."""
    server.grow(3)
    assert nights.night().code == 0
    edited = server.ids()[1]
    choice = server.rows[edited].completion["choices"][0]
    choice["message"] = {"role": "assistant", "content": "another reply"}
    server.break_for(500, edited, routes=("messages",))
    assert nights.night().named == {edited}
    assert nights.questions() == server.questions()
    assert nights.lost(f"reply of {edited}") == []
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()
    assert nights.lost("another reply", f"reply of {edited}") == []


def test_the_views_show_the_new_metadata_and_the_history_the_old(
    nights: Nights, server: NightServer
) -> None:
    """In a lake on disk too, with nothing for its check to find."""
    nights.on_disk = True
    server.grow(3)
    server.edit(server.ids()[0], stage="first-stage")
    assert nights.night().code == 0
    server.edit(server.ids()[0], stage="second-stage")
    server.break_for(500, server.ids()[0], routes=("messages",))
    assert nights.night().code == 3
    assert nights.unreadable("first-stage", "second-stage") == []
    assert nights.questions() == server.questions()


def doubled(server: NightServer, name: str, second: dict[str, Any]) -> None:
    """Let the list give this completion twice in a row, the second time as `second`."""
    row = server.rows[name]
    first = json.dumps(row.completion).encode()
    row.sent = first + b"," + json.dumps(second).encode()
    by_id = Answer(200, json.dumps(second).encode())

    def one(request: Request) -> Answer:
        return by_id

    server.break_for(one, name, routes=("get",))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("first_created", "second_created", "stored"),
    [
        (0, 0, "second"),
        (0, 5, "second"),
        (5, 0, "first"),
        (0, 86_400, "second"),
        (86_400, 0, "first"),
    ],
)
def test_two_rows_of_one_id_on_a_page(  # noqa: PLR0917
    nights: Nights,
    server: NightServer,
    caplog: pytest.LogCaptureFixture,
    first_created: int,
    second_created: int,
    stored: str,
    full: bool,
) -> None:
    """The later one is stored, once, every night the same, and a warning says that they differ."""
    server.grow(8)
    name = server.ids()[3]
    completion = server.rows[name].completion
    created = completion["created"]
    completion |= {"created": created + first_created, "metadata": {"row": "first"}}
    second = completion | {"created": created + second_created, "metadata": {"row": "second"}}
    doubled(server, name, second)
    caplog.set_level(logging.WARNING)

    for _ in range(2):
        caplog.clear()
        assert nights.night(full=full).code == 0
        assert metadata(nights)[name] == {"row": stored}
        assert nights.stored() == set(server.ids())
        (said,) = [text for text in caplog.messages if "two rows" in text]
        assert name in said


def test_the_same_row_twice_is_not_worth_a_word(
    nights: Nights, server: NightServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Two equal rows are one completion, without a warning."""
    server.grow(5)
    name = server.ids()[3]
    doubled(server, name, server.rows[name].completion)
    night = nights.night()
    assert (night.code, night.figures["new"]) == (0, 5)
    assert "two rows" not in caplog.text
