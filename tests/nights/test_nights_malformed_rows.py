"""Nights with rows that are not completions: each is reported, and no list stops at it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.nights.night import Night, Nights
from tests.nights.server import Habits, NightServer
from tests.nights.wire import MALFORMED, WITH_ID, malformed
from tests.pairing import paired

pytestmark = pytest.mark.slow

KINDS = pytest.mark.parametrize("kind", MALFORMED)
SOME_KINDS = pytest.mark.parametrize("kind", ["no id", "null", "nan", "invalid utf-8", "deep"])


def check_night(nights: Nights, night: Night, bad: Iterable[str]) -> None:
    """Fail unless all others are stored, and each malformed row is named, or stored after all."""
    bad = set(bad)
    nights.check_holds_all_but(bad)
    readable = bad <= nights.stored() and not nights.failures()
    assert night.code == (0 if readable else 3), night.words
    assert bool(night.named) == (night.code == 3)


@pytest.mark.parametrize(("kind", "place"), paired(MALFORMED, [0, 13, 29]))
def test_one_malformed_row_blocks_no_night(
    nights: Nights, server: NightServer, kind: str, place: int
) -> None:
    """All others are stored each night, it is reported, and once it is intact it is stored too."""
    server.grow(30)
    bad = server.ids()[place]
    server.malform(bad, kind)
    for _ in range(3):
        night = nights.night()
        check_night(nights, night, [bad])
        assert night.requests["list"] <= 40
        server.grow(4)

    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *(("null", place) for place in (0, 98, 99, 100, 101, 199, 202)),
        *(("nan", place) for place in (0, 98, 99, 100, 199, 202)),
        ("no id", 99),
        ("invalid utf-8", 99),
        ("deep", 99),
        ("deep", 202),
    ],
)
def test_wherever_in_the_pages_it_stands(
    nights: Nights, server: NightServer, kind: str, place: int
) -> None:
    """First, last or at the very cursor of a list of 203 rows: nothing after it is lost."""
    server.grow(203)
    bad = server.ids()[place]
    server.malform(bad, kind)
    night = nights.night()
    check_night(nights, night, [bad])
    assert night.requests["list"] <= 40
    server.grow(3)
    check_night(nights, nights.night(), [bad])


@pytest.mark.parametrize(
    ("places", "kind"),
    paired([(10, 11), (10, 70), (99, 100), (0, 104), (103, 104)], ["null", "invalid utf-8"]),
)
def test_two_of_them(
    nights: Nights, server: NightServer, kind: str, places: tuple[int, int]
) -> None:
    """Side by side, apart, or on both sides of a page's end: the others are stored."""
    server.grow(105)
    bad = [server.ids()[place] for place in places]
    for name in bad:
        server.malform(name, kind)
    for _ in range(2):
        night = nights.night()
        check_night(nights, night, bad)
        server.grow(3)
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


@pytest.mark.parametrize("kinds", [("null", "deep"), ("no id", "nan"), ("invalid utf-8", "number")])
def test_two_kinds_in_one_page(nights: Nights, server: NightServer, kinds: tuple[str, str]) -> None:
    """One that breaks the page's JSON and one that does not: both are named."""
    server.grow(60)
    bad = [server.ids()[20], server.ids()[40]]
    for name, kind in zip(bad, kinds, strict=True):
        server.malform(name, kind)
    for _ in range(2):
        check_night(nights, nights.night(), bad)
        server.grow(3)


@pytest.mark.parametrize(
    ("kind", "last_id"), paired(["no id", "null", "nan", "invalid utf-8"], [True, False])
)
def test_a_whole_page_of_them(
    nights: Nights, server: NightServer, kind: str, last_id: bool
) -> None:
    """A hundred in a row: what lies before is stored, what lies behind too or the run says so."""
    server.habits = Habits(last_id=last_id)
    server.grow(203)
    ids = server.ids()
    bad = ids[100:200]
    for name in bad:
        server.malform(name, kind)
    for _ in range(2):
        night = nights.night()
        assert night.code != 0
        assert set(ids[:100]) <= nights.stored()
        assert night.requests["list"] <= 500
        if last_id or kind in WITH_ID:
            check_night(nights, night, bad)
        new = server.grow(3)
    assert nights.deleted() == set()
    server.mend()
    assert nights.night(full=True).code == 0
    nights.check_holds_all()
    assert set(new) <= nights.stored()


@KINDS
def test_a_stored_row_that_becomes_malformed_is_not_deleted(
    nights: Nights, server: NightServer, kind: str
) -> None:
    """Full sweeps that cannot read it mark neither it nor anything else that lives."""
    server.grow(30)
    bad = server.ids()[12]
    assert nights.night().code == 0
    server.malform(bad, kind)
    for full in (True, True, True, False):
        new = server.grow(2)
        night = nights.night(full=full)
        assert night.code in {0, 3}, night.words
        assert nights.stored() >= {*new, bad}
        assert nights.deleted() == set()
    server.mend()
    assert nights.night(full=True).code == 0
    nights.check_holds_all()


@SOME_KINDS
def test_one_behind_the_lookback_stays_named(
    nights: Nights, server: NightServer, kind: str
) -> None:
    """Later nights no longer list it, but still report it as missing."""
    server.grow(30)
    bad = server.ids()[4]
    server.malform(bad, kind)
    nights.source = {"lookback": "1s"}
    check_night(nights, nights.night(), [bad])
    if bad not in nights.stored():
        for _ in range(2):
            server.grow(5)
            night = nights.night()
            assert night.code == 3, night.words
            assert nights.failures()
            nights.check_holds_all_but([bad])
    server.mend()
    assert nights.night(full=True).code == 0
    nights.check_holds_all()


@pytest.mark.parametrize("kind", ["null", "nan"])
@pytest.mark.parametrize(
    ("order", "cursors"), [("desc", "exact"), ("asked", "later"), ("desc", "later")]
)
def test_with_other_habits(
    nights: Nights, server: NightServer, kind: str, order: str, cursors: str
) -> None:
    """Newest first, and with cursors by time, a malformed row loses no neighbour either."""
    server.habits = Habits(order=order, cursors=cursors)  # type: ignore[arg-type]
    server.grow(105, per_second=3)
    bad = server.ids()[98:100]
    for name in bad:
        server.malform(name, kind)
    for full in (False, True, True):
        check_night(nights, nights.night(full=full), bad)
        server.grow(4, per_second=3)


@KINDS
def test_a_malformed_answer_to_an_id(nights: Nights, server: NightServer, kind: str) -> None:
    """Asked for by its id it is an invalid answer, named; the other ids are stored."""
    server.grow(4)
    bad, *good = server.ids()
    server.malform(bad, kind)
    night = nights.night(ids=[bad, *good])
    assert nights.stored() >= set(good)
    assert night.named <= {bad}
    assert night.code == (3 if night.named else 0), night.words
    assert bad in night.named | nights.stored()


@pytest.mark.parametrize(("kind", "place"), paired(MALFORMED, [0, 1, 2]))
def test_a_malformed_message_is_that_completions_failure(
    nights: Nights, server: NightServer, kind: str, place: int
) -> None:
    """Among three messages one is malformed: at worst this completion is named, nothing else."""
    server.grow(8)
    name = server.ids()[3]
    server.converse(name, 3)
    sent = server.rows[name].messages
    whole = sent[place]
    sent[place] = malformed(kind, whole)
    for _ in range(2):
        night = nights.night()
        assert night.named <= {name}
        assert night.code == (3 if night.named else 0), night.words
        nights.check_holds_all_but([name])
        assert night.named or len(nights.questions()[name]) == 3
        server.grow(2)
    sent[place] = whole
    assert nights.night(full=True).code == 0
    assert len(nights.questions()[name]) == 3


@pytest.mark.parametrize("without", [{0}, {2}, {0, 1, 2}, {1, 2}])
def test_messages_without_an_id_get_one_by_position(
    nights: Nights, server: NightServer, without: set[int]
) -> None:
    """They are stored in order under ids of their own, the same every night, and nothing is named."""
    server.grow(5)
    name, other = server.ids()[1:3]
    for each in (name, other):
        server.converse(each, 3)
        for index in without:
            del server.rows[each].messages[index]["id"]
    for number in range(3):
        assert nights.night(full=number == 2).code == 0
        nights.check_holds_all()
        server.edit(name, number=str(number))
        server.grow(1)


def test_many_messages_without_an_id_in_pages(nights: Nights, server: NightServer) -> None:
    """150 messages without ids, of which a page holds 100: all are stored, or it is named."""
    server.grow(3)
    name = server.ids()[1]
    server.converse(name, 150)
    for message in server.rows[name].messages:
        del message["id"]
    night = nights.night()
    if night.code == 0:
        nights.check_holds_all()
    else:
        assert (night.code, night.named) == (3, {name})
        nights.check_holds_all_but([name])


@pytest.mark.parametrize("kind", WITH_ID)
def test_one_that_can_be_read_by_its_id_is_stored_or_named(
    nights: Nights, server: NightServer, kind: str
) -> None:
    """Where only the list sends it malformed, its name is its own id."""
    server.grow(20)
    bad = server.ids()[7]
    server.malform(bad, kind)
    night = nights.night()
    assert night.code in {0, 3}, night.words
    assert bad in night.named | nights.stored()
    nights.check_holds_all_but([bad])
