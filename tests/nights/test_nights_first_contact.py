"""A first night does not judge the whole source by one end of the list."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chatlake.model.tables import COMPLETIONS
from tests.command_line import CommandLine
from tests.nights.night import Nights
from tests.nights.server import Fault, Habits, NightServer
from tests.support import KEY, NOW, write_config


@pytest.mark.sample(1)
@pytest.mark.parametrize("fault", [501, 405, 404, 403, 401, "quota", "redirect"])
def test_the_oldest_are_refused_and_the_others_are_good(
    nights: Nights, server: NightServer, fault: Fault
) -> None:
    """Refused ones are reported, all others are stored completely, already on the first night."""
    server.grow(105)
    bad = server.ids()[:40]
    server.break_for(fault, *bad, routes=("messages",))
    for _ in range(2):
        night = nights.night()
        assert (night.code, night.named) == (3, set(bad)), night.words
        nights.check_holds_all(gaps=bad)
        server.grow(5)
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


def test_messages_that_all_redirect_are_no_missing_route(
    nights: Nights, server: NightServer
) -> None:
    """A login page in front of the messages: each is named, and fetched when it has gone."""
    server.grow(30)
    server.break_for("redirect", "*", routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, set(server.ids()))
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


@pytest.mark.usefixtures("short_waits")
def test_the_command_says_that_there_are_no_messages(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """One line on standard error, each night: a log record that is not shown says nothing."""
    server.habits = Habits(absent=frozenset({"messages"}))
    write_config(tmp_path, server.base_url, pace={"max_attempts": 2})
    for _ in range(2):
        server.grow(12)
        done = chatlake("backup", "--no-progress")
        assert done.code == 0
        (line,) = done.err.strip().splitlines()
        assert line.startswith(
            "warning: openai: the service returns no messages for any completion"
        )


def test_the_command_does_not_say_each_failure_twice(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """The report names each failure; no warning goes before it."""
    server.grow(12)
    server.break_for(403, server.ids()[3], routes=("messages",))
    write_config(tmp_path, server.base_url, pace={"max_attempts": 2})
    done = chatlake("backup", "--no-progress")
    assert done.code == 3
    assert "warning" not in done.err
    assert done.err.count(server.ids()[3]) == 1


def test_a_cursor_that_is_gone_is_no_service_that_is_retired(
    nights: Nights, server: NightServer
) -> None:
    """410 that names the cursor: an older one is taken, and what is new is stored that night."""
    server.habits = Habits(unknown_cursor=410)
    server.grow(30)
    nights.source = {"lookback": "0s"}
    assert nights.night().code == 0
    server.delete(*server.ids()[-4:])
    new = server.grow(10)
    assert nights.night().code == 0
    assert set(new) <= nights.stored()


@pytest.mark.parametrize("kind", ["no id", "null", "invalid utf-8", "nan"])
def test_a_malformed_row_that_repeats_the_key_is_not_kept(
    nights: Nights, server: NightServer, kind: str
) -> None:
    """What is noted of a row that cannot be read holds none of its text."""
    server.grow(10)
    name = server.ids()[4]
    server.rows[name].completion = {"echo": KEY, **server.rows[name].completion}
    server.malform(name, kind)
    assert nights.night().code == 3
    assert KEY not in "".join(failure.detail for failure in nights.lake().state.failures.values())


@pytest.mark.sample(1)
@pytest.mark.parametrize("good", [60, 150])
def test_messages_that_come_after_all(nights: Nights, server: NightServer, good: int) -> None:
    """What was stored without messages until then is named, and asked for by the next night."""
    server.grow(200)
    ids = server.ids()
    server.break_for(501, *ids[:good], ids[-1], routes=("messages",))
    night = nights.night()
    assert night.code == 3
    assert night.figures["listed"] == len(ids)
    assert {*ids[:good], ids[-1]} <= night.named
    nights.check_holds_all(gaps=night.named)

    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


def test_an_empty_list_where_completions_are_known(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """A new key may open another account: the run says so, and nothing is marked as deleted."""
    write_config(tmp_path, server.base_url)
    kept = int(time.time()) - 3600
    server.grow(5, start=kept)
    assert chatlake("backup", "--no-progress").err == ""
    server.delete(*server.ids())
    for words in ((), ("--full",), ("--full",)):
        done = chatlake("backup", "--no-progress", *words)
        assert done.code == 0
        assert "openai: the list is empty, although earlier runs stored completions" in done.err
    assert '"deleted": 0' in chatlake("backup", "--no-progress", "--json").out


def test_an_empty_list_after_all_has_expired(
    server: NightServer, chatlake: CommandLine, tmp_path: Path
) -> None:
    """There is no warning if everything must have expired."""
    write_config(tmp_path, server.base_url)
    server.grow(5)
    assert chatlake("backup", "--no-progress").code == 0
    server.delete(*server.ids())
    assert "the list is empty" not in chatlake("backup", "--no-progress").err


def test_a_creation_time_that_changes(nights: Nights, server: NightServer) -> None:
    """The completion is stored under its new day; full sweeps mark the older row, which is gone."""
    server.grow(20)
    assert nights.night().code == 0
    name = server.ids()[3]
    server.delete(name)
    new = server.add(NOW + 3 * 86_400, name)
    for full in (False, True, True):
        report = nights.night(full=full, doubled={name}).report
        assert report.exit_code == 0
    found = nights.table(COMPLETIONS, "completion_id", "created_at", "deleted_at")
    mine = sorted(
        (row["created_at"], row["deleted_at"]) for row in found if row["completion_id"] == new
    )
    assert [deleted is None for _, deleted in mine] == [False, True]
    assert len(found) == 21
