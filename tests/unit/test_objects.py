"""Decoding: only an id is required, and everything else is carried as it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatlake.errors import InvalidResponseError
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_completion_page, read_message_page, read_readable_completions
from tests.flat import ID, completion, exact, message, page_of, without


def test_a_page_gives_each_object_with_its_exact_text() -> None:
    """The text of an item is the text in the page, whatever stands around it."""
    texts = [json.dumps(completion(id=f"c-{n}"), indent=n or None) for n in range(3)]
    page = read_completion_page(page_of(texts, has_more=True))
    assert [item.sent.text.decode() for item in page.items] == texts
    assert [item.id for item in page.items] == ["c-0", "c-1", "c-2"]
    assert page.has_more is True


def test_a_page_with_odd_items_keeps_each_exact_text() -> None:
    """Items with lone surrogates are told apart although they look alike when cleaned."""
    texts = [rf'{{"id": "m-{n % 2}", "content": "\ud80{n}"}}' for n in range(4)]
    page = read_message_page(
        b'{"note": {"data": ["\\ud800"]}, "data": [%b]}' % ",".join(texts).encode()
    )
    assert [item.sent.text.decode() for item in page.items] == texts
    assert page.has_more is None


@pytest.mark.parametrize(("text", "expected"), [("null", None), ("true", True), ("false", False)])
def test_has_more_may_be_unknown(text: str, expected: bool | None) -> None:
    """Null is not false: the pager must decide."""
    assert read_message_page(b'{"data": [], "has_more": %b}' % text.encode()).has_more is expected
    assert read_message_page(b'{"data": []}').has_more is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"null",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": [], "has_more": "yes"}',
        b'{"data": [}',
        b'{"data": []} {"data": []}',
        b'{"data": [{"id": "a", "content": "\xff"}]}',
        b'{"data": [{"id": "a", "content": NaN}]}',
        b'{"data": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        b'{"data": [1]}',
        b'{"data": [null]}',
    ],
)
def test_what_is_no_page_is_an_error(body: bytes) -> None:
    """A broken body is never taken for an empty list."""
    with pytest.raises(InvalidResponseError):
        read_message_page(body)
    with pytest.raises(InvalidResponseError):
        read_completion_page(body)


@pytest.mark.parametrize("item", ['{"role": "user"}', '{"id": null}', '{"id": ""}', '{"id": 7}'])
def test_what_has_no_id_is_named_by_its_place(item: str) -> None:
    """A message without an id gets one as the API would have made it; a completion must have one."""
    body = page_of(['{"id": "a"}', item])
    assert [found.id for found in read_message_page(body, ID, 5).items] == ["a", f"{ID}-6"]
    with pytest.raises(InvalidResponseError, match="without an id"):
        read_completion_page(body)


# Before 3.14 Python stops at some thousand levels; since then, at the end of its stack of 8 MB.
TOO_DEEP = 1_000_000
MALFORMED = [
    b"null",
    b"7",
    b"[1, 2]",
    b'"text"',
    b'{"created": 5}',
    b'{"id": ""}',
    b'{"id": 7}',
    b'{"choices": [{"id": "not its own"}]}',
]
MALFORMED_WITH_ID = [
    b'{"id": "bad", "created": NaN}',
    b'{"id": "bad", "seed": Infinity}',
    b'{"id": "bad", "text": "\xff"}',
    b'{"created": 5, "id": "bad", "x": ' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b"}",
    b'{"id": "bad", "x": tru}',
]


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("row", [*MALFORMED, *MALFORMED_WITH_ID], ids=range(13))
def test_a_row_that_cannot_be_read_leaves_the_others(row: bytes, place: int) -> None:
    """The rest of the page is read, and the row is named by its place, and by its id if it has one."""
    rows = [b'{"id": "a", "text": "[{\\"]"}', b'{"id": "b"}']
    rows.insert(place, row)
    body = b'{"object": "list", "data": [' + b" ,\n".join(rows) + b'], "has_more": true}'

    page = read_readable_completions(body)

    assert [item.id for item in page.items] == ["a", "b"]
    assert page.has_more is True
    (malformed,) = page.malformed
    assert malformed.after == place
    assert b"bad" not in malformed.why.encode()  # nothing of the row, which may repeat a secret
    assert malformed.id == ("bad" if row in MALFORMED_WITH_ID else None)
    assert malformed.why


@pytest.mark.parametrize("depth", [100, 5_000, 50_000, TOO_DEEP])
def test_a_deep_row_is_kept_whole_or_named(depth: int) -> None:
    """How deep a row may be depends on the Python; either way it is not lost, nor its neighbours."""
    row = b'{"id": "deep", "x": ' + b"[" * depth + b"]" * depth + b"}"
    body = b'{"data": [{"id": "a"}, %b, {"id": "b"}], "has_more": false}' % row

    page = read_readable_completions(body)

    kept = {item.id: item.sent.text for item in page.items}
    assert [name for name in kept if name != "deep"] == ["a", "b"]
    assert [row.id for row in page.malformed] == ([] if "deep" in kept else ["deep"])
    assert kept.get("deep", row) == row
    assert depth > 100 or "deep" in kept


@pytest.mark.parametrize(
    "body",
    [b"", b"<html></html>", b"[]", b"{}", b'{"data": null}', b'{"data": {}}', b'{"data": [}',
     b'{"data": [{"id": "a"}', b'{"x": {"data": [1]}}', b'{"data": [], "has_more": "yes"}'],
)  # fmt: skip
def test_a_page_that_cannot_be_read_at_all_is_an_error(body: bytes) -> None:
    """Only rows are left out: what is not a page, or is cut, is never read as an empty one."""
    with pytest.raises(InvalidResponseError):
        read_readable_completions(body)


@pytest.mark.parametrize(
    ("ends", "has_more", "next_cursor"),
    [
        ({"has_more": True, "last_id": "b"}, True, None),
        ({"has_more": True, "last_id": None}, True, None),
        ({"has_more": True, "last_id": ""}, True, None),
        ({"has_more": True, "last_id": "opaque=="}, True, "opaque=="),
        ({"next": "opaque=="}, True, "opaque=="),
        ({"next_cursor": "opaque=="}, True, "opaque=="),
        ({"next_cursor": None}, False, None),
        ({"next": "https://host/list?after=b"}, None, None),
        ({"next": 7}, None, None),
        ({}, None, None),
    ],
)
def test_a_cursor_that_is_not_an_id_is_found(
    ends: dict[str, Any], has_more: bool | None, next_cursor: str | None
) -> None:
    """Servers name it last_id, next or next_cursor; an id of the page is no such cursor."""
    page = read_completion_page(json.dumps({"data": [{"id": "a"}, {"id": "b"}], **ends}).encode())
    assert (page.has_more, page.next_cursor) == (has_more, next_cursor)


@pytest.mark.parametrize(
    ("said", "meant"),
    [(True, True), ("true", True), ("True", True), (1, True), (None, None),
     (False, False), ("false", False), ("False", False), (0, False)],
)  # fmt: skip
def test_has_more_may_be_a_word_or_a_number(said: object, meant: bool | None) -> None:
    """Servers write it in several ways; what can be understood blocks no night."""
    body = json.dumps({"data": [{"id": "a"}], "has_more": said}).encode()
    assert read_completion_page(body).has_more is meant


@pytest.mark.parametrize("said", ["yes", 2, [], {}, ""])
def test_has_more_that_says_nothing_known_is_an_error(said: object) -> None:
    """It is not guessed at: the end of a list depends on it."""
    with pytest.raises(InvalidResponseError):
        read_completion_page(json.dumps({"data": [{"id": "a"}], "has_more": said}).encode())


@pytest.mark.parametrize("created", ["yesterday", True, -1, 1e300, [], "2020", "", 10**30])
def test_a_creation_that_is_no_time_is_unknown(created: Any) -> None:
    """It is not guessed at, and one such completion does not hide the others of its page."""
    page = read_completion_page(
        json.dumps({"data": [completion(created=created), completion(id="b", created=5)]}).encode()
    )
    assert [(item.created, item.fields.created) for item in page.items] == [(0, None), (5, 5)]


@pytest.mark.parametrize("text", ['{"id": "a"}', '{"id": "a", "created": null}'])
def test_only_the_id_is_required(text: str) -> None:
    """A completion that says nothing but its id is carried."""
    found = read_completion(text.encode())
    assert (found.id, found.created, found.fields.created) == ("a", 0, None)


def test_a_completion_may_be_surrounded_by_white_space() -> None:
    """A trailing line break belongs to the body, not to the object."""
    found = read_completion(b'\r\n {"id": "a"} \n')
    assert found.sent.text == b'{"id": "a"}'


@pytest.mark.parametrize("number", ["1e400", "9" * 5000])
@pytest.mark.parametrize("key", ["temperature", "seed", "usage", "metadata", "unknown", "tools"])
def test_a_boundless_number_stays_in_the_text(key: str, number: str) -> None:
    """Wherever it stands, the object is read and its text is what was sent."""
    text = json.dumps(without(completion(), key))[:-1] + f', "{key}": {{"n": {number}}}}}'
    page = read_completion_page(page_of([text]))
    assert page.items[0].id == ID
    assert exact(page.items[0].sent.text) == exact(text)


def test_a_key_may_be_written_with_escapes() -> None:
    r"""`"d\u0061ta"` is `data`, also where exact texts are looked for."""
    text = rb'{"d\u0061ta": [{"\u0069d": "a", "content": "\ud800"}]}'
    (item,) = read_message_page(text).items
    assert (item.id, item.sent.text) == ("a", rb'{"\u0069d": "a", "content": "\ud800"}')


def test_messages_are_read_like_completions() -> None:
    """A stored message has its fields and its text."""
    (item,) = read_message_page(page_of([message("Hi", name="x")])).items
    assert (item.id, item.fields.role, item.fields.name) == (f"{ID}-0", "user", "x")


@pytest.mark.parametrize("shift", range(4))
def test_a_long_body_may_have_any_character_anywhere(shift: int) -> None:
    """A body is checked piece by piece, and no character is torn by that."""
    text = "x" * ((1 << 20) - 20 - shift) + "\N{ROCKET}" * 9
    body = json.dumps({"id": "a", "input_user": text}, ensure_ascii=False).encode()
    assert read_completion(body).fields.input_user == text


@pytest.mark.parametrize("end", [b"\xff", b"\xf0\x9f\x9a"], ids=["no character", "half of one"])
def test_a_long_body_that_is_no_text_is_refused(end: bytes) -> None:
    """What is no UTF-8 is found wherever it stands."""
    body = b'{"id": "a", "n": "\xc3\xa9", "input_user": "%b"}' % (b"x" * (3 << 20) + end)
    with pytest.raises(InvalidResponseError, match="cannot be read"):
        read_completion(body)
