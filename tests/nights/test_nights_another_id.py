"""Nights in which a server answers with another completion than the one asked for."""

from __future__ import annotations

import json

import pytest

from tests.nights.night import Nights
from tests.nights.server import NightServer
from tests.nights.wire import Answer

CONCURRENCY = pytest.mark.parametrize("concurrency", [1, 32])


def pace(nights: Nights, concurrency: int) -> None:
    """Let so many requests be under way at once."""
    nights.source = {"pace": {"concurrency": concurrency}}


@CONCURRENCY
@pytest.mark.parametrize("answered", [0, 1, 2])
def test_the_same_one_is_answered_to_every_id(
    nights: Nights, server: NightServer, concurrency: int, answered: int
) -> None:
    """Three ids, one completion for all of them: it is stored, the two others are named."""
    pace(nights, concurrency)
    server.grow(3)
    ids = server.ids()
    right = ids[answered]
    server.another = dict.fromkeys(ids, right)

    for _ in range(2):
        night = nights.night(ids=ids)
        assert night.code == 3
        assert night.figures["listed"] == 3
        assert night.named == set(ids) - {right}
        assert set(nights.failures().values()) == {"invalid_response"}
        assert nights.stored() == {right}
        assert nights.questions()[right] == server.questions()[right]

    server.mend()
    assert nights.night(ids=ids).code == 0
    nights.check_holds_all()


@CONCURRENCY
def test_two_that_are_exchanged(nights: Nights, server: NightServer, concurrency: int) -> None:
    """Each is returned for the other: both are reported, and nothing is stored under a wrong id."""
    pace(nights, concurrency)
    server.grow(4)
    one, two, *rest = server.ids()
    server.another = {one: two, two: one}

    night = nights.night(ids=[one, two, *rest])
    assert (night.code, night.named) == (3, {one, two})
    assert nights.stored() == set(rest)
    server.mend()
    assert nights.night(ids=[one, two]).code == 0
    nights.check_holds_all()


@CONCURRENCY
def test_one_that_was_not_asked_for(nights: Nights, server: NightServer, concurrency: int) -> None:
    """A response with a completion that was not requested: the requested one is reported."""
    pace(nights, concurrency)
    server.grow(5)
    asked, other, *rest = server.ids()
    server.another = {asked: other}

    night = nights.night(ids=[asked, *rest])
    assert (night.code, night.named) == (3, {asked})
    assert nights.stored() == set(rest)


@pytest.mark.parametrize(
    "body",
    [
        b'{"object":"list","data":[]}',
        b'{"id":null}',
        b'{"id":7}',
        b'{"id":""}',
        b"{}",
        b"null",
        b"[]",
        b'"chatcmpl-00000"',
        b'{"id":"CHATCMPL-00000"}',
        b'{"id":" chatcmpl-00000"}',
        b'{"id":"chatcmpl-0000"}',
    ],
)
def test_no_completion_of_that_id(nights: Nights, server: NightServer, body: bytes) -> None:
    """A list, a null, an id that only looks alike: an invalid answer for the id asked for."""
    server.grow(3)
    bad, *good = server.ids()
    server.break_for(lambda _: Answer(200, body), bad, routes=("get",))

    night = nights.night(ids=[bad, *good])
    assert (night.code, night.named) == (3, {bad})
    assert nights.failures() == {bad: "invalid_response"}
    assert nights.stored() == set(good)


@pytest.mark.parametrize("lookback", ["1s", "24h"])
def test_a_gap_is_not_closed_by_another_completion(
    nights: Nights, server: NightServer, lookback: str
) -> None:
    """In the gap phase too: the gap stays named, its row stays its own, new rows are stored."""
    server.grow(10)
    nights.source = {"lookback": lookback}
    bad, other = server.ids()[2], server.ids()[5]
    server.break_for(500, bad, routes=("messages",))
    assert nights.night().named == {bad}

    server.another = {bad: other}
    for _ in range(2):
        new = server.grow(3)
        night = nights.night()
        assert (night.code, night.named) == (3, {bad})
        assert nights.stored() == {*server.ids()}
        assert set(new) <= nights.stored()
    server.mend()
    assert nights.night().code == 0
    nights.check_holds_all()


def test_an_id_given_twice_counts_once(nights: Nights, server: NightServer) -> None:
    """A wrong response to an id that is twice in the file is one failure."""
    server.grow(2)
    one, two = server.ids()
    server.another = {two: one}
    night = nights.night(ids=[one, two, two, one])
    assert night.code == 3
    assert night.figures["listed"] == 2
    assert night.named == {two}


def test_a_dry_run_counts_a_wrong_answer_as_failed(nights: Nights, server: NightServer) -> None:
    """It says beforehand how many of the given ids cannot be fetched."""
    server.grow(3)
    server.another = dict.fromkeys(server.ids(), server.ids()[0])
    found = nights.night(ids=server.ids(), dry_run=True).figures
    assert (found["listed"], found["new"], found["failed"]) == (3, 1, 2)


def test_ids_that_must_be_quoted_are_the_same_ids(nights: Nights, server: NightServer) -> None:
    """An id with a space, a slash, an accent or a plus is compared as it is, not as it is sent."""
    ids = [server.add(1_760_000_000 + number, name) for number, name in enumerate(
        ["a b", "a/b", "é", "a+b", "a%20b", "a?b#c"]
    )]  # fmt: skip
    night = nights.night(ids=ids)
    assert night.code == 0, json.dumps(sorted(night.named))
    nights.check_holds_all()
