"""Nights with completions that never respond: they are named, and everything else continues."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.nights.night import Nights
from tests.nights.server import ROUTES, Fault, NightServer
from tests.pairing import paired
from tests.support import NOW

pytestmark = pytest.mark.slow

BY_MESSAGES = ("messages",)
BY_ID = ("get",)
FAULTS = ("reset", "hang", "html", "redirect", 403, 404, 405, 410, 418, 500, 501, 503)
IN_THE_GAP_PHASE = (*FAULTS, 401, 429, "quota", "empty")


def row_of_nights(
    nights: Nights, bad: Sequence[str], *, count: int = 3, full: bool = False
) -> None:
    """Grow by five each night; all of it is stored that night, the bad are named every time."""
    for attempt in range(2, 2 + count):
        new = nights.server.grow(5)
        night = nights.night(full=full)

        assert (night.code, night.named) == (3, set(bad)), night.words
        assert night.requests["list"] >= 1
        assert night.figures["new"] == len(new)
        nights.check_holds_all(gaps=bad)
        assert all(nights.attempts(name) >= attempt for name in bad)


def heal(nights: Nights) -> None:
    """Let the server answer: one more night closes every gap."""
    nights.server.mend()
    night = nights.night()

    assert night.code == 0
    nights.check_holds_all()


@pytest.mark.parametrize(
    ("fault", "routes"),
    [
        *((fault, BY_MESSAGES) for fault in FAULTS),
        *((fault, ROUTES) for fault in ("reset", "hang", "html", 403, 404, 405, 500)),
    ],
)
def test_one_bad_completion_stops_no_later_night(
    nights: Nights, server: NightServer, fault: Fault, routes: Sequence[str]
) -> None:
    """It is named every night with exit code 3, what is new is stored, until it answers."""
    server.grow(12)
    bad = server.ids()[4]
    server.break_for(fault, bad, routes=routes)

    first = nights.night()
    assert (first.code, first.named) == (3, {bad}), first.words
    nights.check_holds_all(gaps=[bad])
    row_of_nights(nights, [bad])
    heal(nights)


@pytest.mark.parametrize("fault", IN_THE_GAP_PHASE)
def test_a_gap_that_its_own_id_refuses_is_a_named_failure(
    nights: Nights, server: NightServer, fault: Fault
) -> None:
    """Older than the lookback, it is asked by its id alone: that answer stops no night."""
    bad = server.add(NOW - 864_000, "chatcmpl-old")
    server.grow(8, start=NOW)
    server.break_for(500, bad, routes=BY_MESSAGES)
    nights.source = {"lookback": "1h"}
    assert (nights.night().code, nights.failures().keys()) == (3, {bad})

    server.mend()
    server.break_for(fault, bad, routes=BY_ID)
    row_of_nights(nights, [bad])
    heal(nights)


@pytest.mark.parametrize("fault", ["reset", 403, 500])
def test_a_gap_within_the_lookback_is_filled_through_the_list(
    nights: Nights, server: NightServer, fault: Fault
) -> None:
    """Where its id is refused but the list shows it, its messages are fetched that night."""
    server.grow(8)
    bad = server.ids()[2]
    server.break_for(500, bad, routes=BY_MESSAGES)
    assert nights.night().code == 3

    server.mend()
    server.break_for(fault, bad, routes=BY_ID)
    new = server.grow(5)
    nights.night()
    assert nights.questions() == server.questions()
    assert new[-1] in nights.stored()
    assert nights.night().code == 0
    nights.check_holds_all()


@pytest.mark.parametrize(
    ("fault", "places"),
    [
        ("reset", (0, 1)),
        ("reset", (198, 199)),
        (403, (0, 199)),
        (405, (99, 100)),
        (403, (198, 199)),
        (500, (0, 1)),
    ],
)
def test_two_bad_of_two_full_pages(
    nights: Nights, server: NightServer, fault: Fault, places: tuple[int, int]
) -> None:
    """Wherever in the list they stand, the other 198 are stored in the first night."""
    server.grow(200)
    bad = [server.ids()[place] for place in places]
    server.break_for(fault, *bad)

    night = nights.night()
    assert (night.code, night.named) == (3, set(bad)), night.words
    assert night.figures["new"] == 198
    nights.check_holds_all(gaps=bad)
    row_of_nights(nights, bad, count=1)
    heal(nights)


@pytest.mark.parametrize(
    ("fault", "concurrency"), [("reset", 1), ("reset", 4), (403, 4), (405, 1), (500, 4), (500, 32)]
)
def test_all_of_twenty_gaps_are_bad_at_once(
    nights: Nights, server: NightServer, fault: Fault, concurrency: int
) -> None:
    """However many gaps fail before the list is asked, the list is asked."""
    server.grow(60)
    bad = server.ids()[::3]
    server.break_for(404, *bad, routes=BY_MESSAGES)
    assert nights.night().named == set(bad)

    server.mend()
    server.break_for(fault, *bad)
    pace = {"concurrency": concurrency}
    nights.source = {"lookback": "1s", "pace": pace}
    row_of_nights(nights, bad, count=2)
    heal(nights)


def test_more_gaps_than_requests_at_once(nights: Nights, server: NightServer) -> None:
    """Forty gaps in a row that all reset the connection are forty named failures."""
    server.grow(80)
    bad = server.ids()[:40]
    server.break_for(404, *bad, routes=BY_MESSAGES)
    assert nights.night().named == set(bad)

    server.mend()
    server.break_for("reset", *bad)
    nights.source = {"lookback": "1s"}
    row_of_nights(nights, bad, count=2)
    heal(nights)


@pytest.mark.parametrize("fault", ["reset", 403])
@pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])
def test_sweeps_go_on_too(nights: Nights, server: NightServer, fault: Fault, full: bool) -> None:
    """A full sweep names the bad one, stores what is new, and marks nothing that lives."""
    server.grow(30)
    bad = server.ids()[7]
    server.break_for(fault, bad)
    first = nights.night(full=full)
    assert (first.code, first.named) == (3, {bad}), first.words

    row_of_nights(nights, [bad], full=True)
    heal(nights)


@pytest.mark.parametrize(
    ("fault", "routes"),
    paired(["reset", 403, 405, 500, "redirect", "html"], [BY_MESSAGES, BY_ID, ROUTES]),
)
def test_given_ids_go_on_past_a_bad_one(
    nights: Nights, server: NightServer, fault: Fault, routes: Sequence[str]
) -> None:
    """Asked for by id, the bad one comes first, is named, and the others are stored."""
    server.grow(6)
    bad, *good = server.ids()
    server.break_for(fault, bad, routes=routes)
    pace = {"concurrency": 1}
    nights.source = {"pace": pace}

    for _ in range(2):
        night = nights.night(ids=[bad, *good])
        assert (night.code, night.named) == (3, {bad}), night.words
        assert night.figures["listed"] == 6
        assert nights.stored() >= set(good)
    server.mend()
    assert nights.night(ids=[bad]).code == 0
    nights.check_holds_all()


@pytest.mark.parametrize("fault", ["reset", 403, 500])
def test_a_dry_run_counts_past_a_gap(nights: Nights, server: NightServer, fault: Fault) -> None:
    """It counts the gap as failed and lists the rest, and writes nothing."""
    server.grow(10)
    bad = server.ids()[0]
    server.break_for(fault, bad)
    nights.night()
    server.grow(5)
    nights.source = {"lookback": "1s"}

    night = nights.night(dry_run=True)
    assert night.words == ""
    assert (night.figures["new"], night.figures["failed"]) == (5, 1)
    assert len(nights.stored()) == 10


@pytest.mark.parametrize("fault", ["reset", "hang", 500, 503])
def test_a_list_that_does_not_answer_either_is_a_source_out_of_reach(
    nights: Nights, server: NightServer, fault: Fault
) -> None:
    """Exit code 6, the gap stays named, nothing is marked; the next night continues."""
    server.grow(10)
    bad = server.ids()[3]
    server.break_for("reset", bad)
    nights.night()
    server.grow(5)
    server.break_list(fault)

    for full in (False, True, True):
        night = nights.night(full=full)
        assert night.code == 6
        assert night.requests["list"] >= 1
        assert nights.failures().keys() == {bad}
        assert nights.deleted() == set()
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


@pytest.mark.parametrize(("status", "code"), [(401, 5), (403, 5), (405, 5), ("quota", 5)])
def test_an_account_that_is_refused_everywhere_is_refused(
    nights: Nights, server: NightServer, status: Fault, code: int
) -> None:
    """Where the list is refused too it is the account: exit code 5, no gap closed, nothing lost."""
    server.grow(10)
    bad = server.ids()[3]
    server.break_for("reset", bad)
    nights.night()
    server.grow(5)
    server.break_for(status, "*", bad)
    server.break_list(status)

    for full in (False, True, True):
        assert nights.night(full=full).code == code
        assert nights.failures().keys() == {bad}
        assert nights.deleted() == set()
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


def test_a_bad_completion_that_is_deleted_closes_its_gap(
    nights: Nights, server: NightServer
) -> None:
    """Once neither its id nor a complete list knows it, it is no longer a failure."""
    server.grow(10)
    bad = server.ids()[3]
    server.break_for("reset", bad)
    nights.night()
    row_of_nights(nights, [bad], count=1)

    server.mend()
    server.delete(bad)
    nights.night(full=True)
    assert nights.night().code == 0
    assert nights.failures() == {}
    assert bad in nights.stored()


def test_a_bad_one_that_changes_its_fault_each_night(nights: Nights, server: NightServer) -> None:
    """Reset, refused, hanging, unreadable: each night has the same name and another reason."""
    server.grow(10)
    bad = server.ids()[3]
    for fault in ("reset", 403, "html", 500, 405, "redirect", 404):
        server.break_for(fault, bad)
        new = server.grow(2)
        night = nights.night()
        assert (night.code, night.named) == (3, {bad}), (fault, night.words)
        assert nights.stored() >= set(new)
        nights.check_holds_all(gaps=[bad])
    heal(nights)
