"""Nights with responses that are larger than they may be: one is named, the rest is stored."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.nights.night import Nights
from tests.nights.server import NightServer, Request
from tests.nights.wire import JSON_TYPE, Answer

pytestmark = pytest.mark.slow

BOUND = 1 << 20
TOO_LARGE = "larger than 1MiB (pace.max_body)"


@pytest.fixture(autouse=True)
def bound(nights: Nights) -> None:
    """Let a response have 1 MiB."""
    nights.source = {"pace": {"max_body": "1MiB"}}


def messages(size: int) -> bytes:
    """Return a page with one message that is so large."""
    page = {"object": "list", "data": [{"id": "m", "role": "user", "content": "a" * size}]}
    return json.dumps(page | {"has_more": False}).encode()


def packed(body: bytes, encoding: str) -> Answer:
    """Return a body in an encoding."""
    pack: Callable[[bytes], bytes] = {"gzip": gzip.compress, "deflate": zlib.compress}[encoding]
    return Answer(200, pack(body), (JSON_TYPE, ("content-encoding", encoding)))


LARGE = messages(3 * BOUND)
TOO_LARGE_ANSWERS = {
    "plain": Answer(200, LARGE),
    "in chunks": Answer(200, LARGE, chunk=1000),
    "gzip": packed(LARGE, "gzip"),
    "deflate": packed(LARGE, "deflate"),
    "gzip in chunks": Answer(
        200, gzip.compress(LARGE), (JSON_TYPE, ("content-encoding", "gzip")), chunk=100
    ),
    "a length beyond all": Answer(200, LARGE, length=10**15),
    "many empty members of gzip": Answer(
        200, gzip.compress(b"") * 60_000, (JSON_TYPE, ("content-encoding", "gzip"))
    ),
}


@pytest.mark.sample(4)
@pytest.mark.parametrize("kind", TOO_LARGE_ANSWERS)
@pytest.mark.parametrize("route", ["messages", "get"])
def test_one_large_response_is_named(
    nights: Nights, server: NightServer, kind: str, route: str
) -> None:
    """It is asked for once a night, named as too_large, and stored when it has become small."""
    server.grow(12)
    bad = server.ids()[4]
    server.break_for(lambda _: TOO_LARGE_ANSWERS[kind], bad, routes=(route,))
    ids = server.ids() if route == "get" else None

    for _ in range(2):
        night = nights.night(ids=ids)
        assert (night.code, night.named) == (3, {bad})
        assert nights.failures() == {bad: "too_large"}
        assert TOO_LARGE in nights.lake().state.failures["openai", bad].detail
        asked = [request for request in server.asked if request.completion_id == bad]
        assert sum(request.route == route for request in asked) <= 2  # as a gap, and by the list
        nights.check_holds_all_but([bad])
    server.mend()
    assert nights.night(ids=ids).code == 0
    nights.check_holds_all()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_memory_stays_near_the_bound(nights: Nights, server: NightServer, encoding: str) -> None:
    """Three small responses that decode to 200 MiB each take no more memory than the bound."""
    server.grow(9)
    bomb = packed(bytes(200 << 20), encoding)
    bad = server.ids()[::3]
    server.break_for(lambda _: bomb, *bad, routes=("messages",))
    tracemalloc.start()
    try:
        night = nights.night()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert night.named == set(bad)
    assert set(nights.failures().values()) == {"too_large"}
    assert peak < 30 << 20


def test_a_response_just_below_the_bound_is_stored(nights: Nights, server: NightServer) -> None:
    """The bound is what a response may have, to the byte."""
    server.grow(3)
    fits, too_long = server.ids()[:2]
    size = BOUND - len(messages(0))
    server.rows[fits].messages[0]["content"] = "a" * size
    server.break_for(lambda _: Answer(200, messages(size)), fits, routes=("messages",))
    server.break_for(lambda _: Answer(200, messages(size + 1)), too_long, routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, {too_long})
    nights.check_holds_all(gaps=[too_long])


@pytest.mark.parametrize(
    "headers",
    [
        (("content-encoding", "gzip, gzip"),),
        (("content-encoding", "gzip"), ("content-encoding", "gzip")),
        (("content-encoding", "deflate, gzip"),),
        (("content-encoding", "br"),),
        (("content-encoding", "zstd"),),
    ],
)
def test_other_encodings_are_named(
    nights: Nights, server: NightServer, headers: tuple[tuple[str, str], ...]
) -> None:
    """A response that is encoded twice, or otherwise, is one completion's failure in clear words."""
    server.grow(5)
    bad = server.ids()[1]
    body = gzip.compress(gzip.compress(messages(10)))
    server.break_for(lambda _: Answer(200, body, (JSON_TYPE, *headers)), bad, routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, {bad})
    detail = nights.lake().state.failures["openai", bad].detail
    assert "is encoded as" in detail
    assert headers[-1][1] in detail
    nights.check_holds_all(gaps=[bad])


@pytest.mark.sample(2)
@pytest.mark.parametrize("chunk", [None, 1000])
@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_large_refusal_is_read_in_part(
    nights: Nights, server: NightServer, status: int, chunk: int | None
) -> None:
    """The status says what happened, whatever the size or the encoding of the words."""
    server.grow(5)
    bad, bomb, twice = server.ids()[:3]
    words = b"<title>No entry</title>" + b"x" * (5 << 20)
    gzipped = (JSON_TYPE, ("content-encoding", "gzip"))
    answers = {
        bad: Answer(status, words, chunk=chunk),
        bomb: Answer(status, gzip.compress(words + bytes(100 << 20)), gzipped, chunk=chunk),
        twice: Answer(status, words[:100], (JSON_TYPE, ("content-encoding", "gzip, br"))),
    }
    server.break_for(lambda request: answers[request.completion_id], *answers, routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, set(answers)), night.words
    for name in answers:
        detail = nights.lake().state.failures["openai", name].detail
        assert f": {status} " in detail
        assert ("No entry" in detail) == (name != twice)
    nights.check_holds_all(gaps=list(answers))


def test_a_large_page_of_the_list_is_asked_for_in_pieces(
    nights: Nights, server: NightServer
) -> None:
    """Two hundred rows of 30 KB each: no page of a hundred fits, and all of them are stored."""
    for number, _ in enumerate(server.grow(200)):
        server.rows[server.ids()[number]].completion["note"] = "n" * 30_000
    assert nights.night().code == 0
    nights.check_holds_all()
    new = server.grow(3)
    assert nights.night().figures["new"] == len(new)


@pytest.mark.parametrize("place", [0, 50, 119])
def test_one_large_row_of_the_list_is_a_named_gap(
    nights: Nights, server: NightServer, place: int
) -> None:
    """A row that no page can hold keeps no other one from being stored."""
    server.grow(120)
    bad = server.ids()[place]
    server.rows[bad].completion["note"] = "n" * (2 * BOUND)
    night = nights.night()
    assert night.code == 3
    assert nights.stored() == set(server.ids()) - {bad}
    assert len(nights.failures()) == 1
    assert all(TOO_LARGE in failure.detail for failure in nights.lake().state.failures.values())


def test_messages_are_bounded_together(nights: Nights, server: NightServer) -> None:
    """Pages that are each small enough do not add up without end."""
    server.grow(4)
    bad, counted = server.ids()[1], []

    def endless(request: Request) -> Answer:
        counted.append(request)
        number = len(counted)
        rows = [
            {"id": f"m{number}-{at}", "role": "user", "content": "a" * 3000} for at in range(100)
        ]
        page: dict[str, Any] = {"data": rows, "has_more": True, "last_id": rows[-1]["id"]}
        if request.query.get("after"):
            before = {"id": request.query["after"], "role": "user", "content": ""}
            page["data"] = [before, *rows]
        return Answer(200, json.dumps(page).encode())

    server.break_for(endless, bad, routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, {bad})
    assert nights.failures() == {bad: "too_large"}
    assert "the messages are " + TOO_LARGE in nights.lake().state.failures["openai", bad].detail
    assert len(counted) < 10
    nights.check_holds_all(gaps=[bad])


@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_response_is_named(nights: Nights, server: NightServer, status: int) -> None:
    """A success without a body says so, with its status."""
    server.grow(4)
    bad = server.ids()[1]
    server.break_for(lambda _: Answer(status), bad, routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, {bad})
    detail = nights.lake().state.failures["openai", bad].detail
    assert f": {status} " in detail
    assert "an empty response" in detail


def test_a_length_that_says_too_little_or_too_much(nights: Nights, server: NightServer) -> None:
    """A body without its announced length is not accepted: it is reported."""
    nights.source["pace"]["timeout"] = "500ms"
    server.grow(4)
    short, long = server.ids()[:2]
    body = messages(100)
    server.break_for(lambda _: Answer(200, body, length=50), short, routes=("messages",))
    server.break_for(lambda _: Answer(200, body, length=500), long, routes=("messages",))
    night = nights.night()
    assert (night.code, night.named) == (3, {short, long})
    nights.check_holds_all(gaps=[short, long])


def test_a_byte_order_mark_is_passed_over(nights: Nights, server: NightServer) -> None:
    """Each route's JSON is read with one, a page with a row that cannot be read too."""
    server.grow(5)
    answer, mark = server.answer, b"\xef\xbb\xbf"

    def marked(request: Request) -> Answer:
        plain = answer(request)
        return Answer(plain.status, mark + plain.body)

    server.answer = marked  # type: ignore[method-assign]
    assert nights.night().code == 0
    nights.check_holds_all()
    bad = server.ids()[1]
    server.malform(bad, "nan")
    server.grow(2)
    night = nights.night()
    assert (night.code, night.named) == (3, {bad})
    nights.check_holds_all_but([bad])
    assert nights.night(ids=server.ids()[2:]).code == 0
