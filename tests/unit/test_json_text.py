"""JSON text with lone surrogates and boundless numbers: its two faces."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from chatlake.errors import InvalidResponseError
from chatlake.model.json_text import (
    SentObject,
    quoted_start,
    read_sent,
    replace_lone_surrogates,
    spell_out_lone_surrogates,
)
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_completion_page, read_message_page

PAIR = rb"\ud83d\ude00"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00 low first"', rb'"\ufffd low first"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00\ude00"', rb'"\ud83d\ude00\ufffd"'),
        (rb'"\udc00\ud800"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83dA\ude00"', rb'"\ufffdA\ufffd"'),
        (rb'"\ud83d\n"', rb'"\ufffd\n"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'{"\ud800": 1}', rb'{"\ufffd": 1}'),
    ],
)
def test_a_lone_surrogate_is_replaced_at_its_place(text: bytes, clean: bytes) -> None:
    """Half a pair becomes U+FFFD, at the same length; strict readers take the result."""
    assert replace_lone_surrogates(text) == clean
    msgspec.json.decode(clean)


@pytest.mark.parametrize(
    "text",
    [
        b'"' + PAIR + b'"',
        rb'"\uD83D\uDE00"',
        rb'"\\ud83d"',
        rb'"C:\\users\\ud83d"',
        rb'"\\\\ud83d\u0041"',
        rb'"\u0000 \ud7ff \ue000"',
        '"😀 ud83d"'.encode(),
    ],
)
def test_valid_text_stays_as_it_is(text: bytes) -> None:
    """Pairs, escaped backslashes and plain letters are no lone surrogates."""
    assert replace_lone_surrogates(text) is text
    assert spell_out_lone_surrogates(text) is text


def test_a_spelled_out_surrogate_is_readable_and_valid() -> None:
    """Spelled out, the escape is plain text that still names the code unit."""
    text = spell_out_lone_surrogates(rb'"a \ud83d \ud83d\ude00"')
    assert msgspec.json.decode(text) == "a \\ud83d 😀"


def test_members_and_elements_keep_their_exact_text() -> None:
    """Values cut out of an object with lone surrogates are what was sent, wherever they stand."""
    text = rb"""
        {"skip": {"list": ["\ufffd"], "x": "a \"list\": [1, {"}, "list": [ "\ud800" , {"a": [1,
        "\ud801"]},[] , 12 , "x,]}" ], "li\u0073t2": null}
    """
    whole = read_sent(text)
    sent = whole.member("list", b"")
    assert json.loads(sent.text) == ["\ud800", {"a": [1, "\ud801"]}, [], 12, "x,]}"]
    elements = sent.elements(())
    assert [element.text for element in elements[:1]] == [rb'"\ud800"']
    assert [json.loads(element.text) for element in elements] == json.loads(sent.text)
    assert [element.text is element.clean for element in elements] == [False, False, *[True] * 3]
    assert whole.member("list2", b"").text == b"null"
    assert whole.member("missing", b"null").text == b"null"


def test_of_a_repeated_key_the_last_value_counts() -> None:
    """As for the decoder, so for the exact text."""
    whole = read_sent(rb'{"a": "\ud800", "a": "\ud801"}')
    assert whole.member("a", rb'"\ufffd"').text == rb'"\ud801"'


def test_empty_containers_have_no_elements() -> None:
    """Nothing is cut out of nothing."""
    assert SentObject(b"[ ]", bytes(bytearray(b"[ ]"))).elements(()) == []
    assert SentObject(b"{}", bytes(bytearray(b"{}"))).member("a", b"null").text == b"null"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000, "1E+309", "-" + "9" * 400])
def test_a_boundless_number_is_null_for_strict_readers(number: str) -> None:
    """A number that no double can hold is tamed in `clean` only, at the same length."""
    text = f'{{"a": [{number}], "b": "{number}", "c": 1.5e300}}'.encode()
    tame = read_sent(text).with_tame_numbers()
    assert tame.text == text
    assert len(tame.clean) == len(text)
    assert msgspec.json.decode(tame.clean) == {"a": [None], "b": number, "c": 1.5e300}


def test_ordinary_numbers_need_no_taming() -> None:
    """The same object comes back, so that the usual case costs nothing."""
    sent = read_sent(b'{"a": [1, -0.0, 12345678901234567890, 1e-400, 1e308]}')
    assert sent.with_tame_numbers() is sent


@pytest.mark.parametrize(
    "body", [b'{"content": "secret', b'  [{"text": "secret"}', b'\xef\xbb\xbf{"a": "secret']
)
def test_an_error_quotes_nothing_of_an_object(body: bytes) -> None:
    """What begins like an object may hold somebody's words: errors stay in the lake."""
    assert quoted_start(body) == ""


@pytest.mark.parametrize("read", [read_completion, read_completion_page, read_message_page])
def test_what_cannot_be_read_is_not_quoted(read: Callable[[bytes], object]) -> None:
    """A completion, a list, messages: the error says why, without the text."""
    for body in (
        b'{"id": 1, "content": "secret',
        b'{"data": [{"content": "secret"}, 7]}',
        b"[1, 2",
    ):
        with pytest.raises(InvalidResponseError) as caught:
            read(body)
        assert "secret" not in caught.value.message


def test_the_page_of_a_proxy_is_quoted() -> None:
    """It explains itself, and is cut off."""
    assert (
        quoted_start(b"<html>Bad gateway" + b"x" * 200) == f": {'<html>Bad gateway' + 'x' * 63!r}"
    )
