"""The marks of a JSON text: right at any depth, and in time that grows with the text alone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatlake.errors import InvalidResponseError
from chatlake.model import rows_in_text
from chatlake.model.json_marks import CLOSE, DEEP, OPEN, marks_of
from chatlake.model.pages import read_completion_page, read_readable_completions
from chatlake.model.rows_in_text import split_rows

DEPTH = 100_000
SHAPES = {
    "arrays": (b"[" * DEPTH, b"]" * DEPTH),
    "objects": (b'{"a":' * DEPTH + b"1", b"}" * DEPTH),
    "objects with escapes": (b'[{"a\\\\\\"[":' * (DEPTH // 2) + b"1", b"}]" * (DEPTH // 2)),
    "long strings": (b'{"%b":' % (b"[" * 5000 + b'\\"') * 2000 + b"1", b"}" * 2000),
    "up and down": (b"[" * 500 + b"[],[[]]," * 20_000 + b"1", b"]" * 500),
}


def page(rows: list[bytes]) -> bytes:
    """Return a page of the list with these rows."""
    return b'{"object":"list","data":[' + b",".join(rows) + b'],"has_more":false}'


@pytest.mark.parametrize("shape", SHAPES)
def test_what_lies_deep_hides_no_other_row(shape: str) -> None:
    """The row is reported, even if its id comes after the depth; its neighbours are read."""
    opening, closing = SHAPES[shape]
    rows = [
        b'{"id":"one","created":1}',
        b'{"id":"two","note":%b,"bad":NaN}' % (opening + closing),
        b'{"note":%b,"id":"three","bad":NaN}' % (opening + closing),
        b'{"id":"four","created":4}',
    ]
    assert split_rows(page(rows))[0] == rows
    found = read_readable_completions(page(rows))
    assert [item.id for item in found.items] == ["one", "four"]
    assert [row.id for row in found.malformed] == ["two", "three"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("shape", ["arrays", "objects", "objects with escapes"])
def test_a_page_of_deep_rows_takes_no_minute(shape: str) -> None:
    """A hundred rows, each a hundred thousand deep: a second or so, not ten."""
    opening, closing = SHAPES[shape]
    # Python 3.14 goes as deep as its stack has room for, so something else is wrong, too.
    rows = [
        b'{"id":"c%d","note":%b,"bad":NaN}' % (number, opening + closing) for number in range(100)
    ]
    began = time.process_time()
    with pytest.raises(InvalidResponseError):
        read_completion_page(page(rows))
    assert len(read_readable_completions(page(rows)).malformed) == 100
    assert time.process_time() - began < 4


@pytest.mark.parametrize("start", [b"", b"[" * 150, b'{"a":1e999,"b":['])
def test_a_string_that_never_ends_is_searched_once(start: bytes) -> None:
    """A text that is cut within a string with many quotes takes time that grows with its length."""
    body = b'{"data":[{"id":"a","content":' + start + b'"' + b'\\"xxxx' * 16_000
    began = time.process_time()
    for read in (split_rows, read_readable_completions, read_completion_page):
        with pytest.raises(InvalidResponseError):
            read(body)
    assert time.process_time() - began < 1


def test_a_page_that_is_too_long_to_be_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on a page nobody can read has an end: smaller pages are asked for then."""
    monkeypatch.setattr(rows_in_text, "_MOST_MARKS", 1000)
    rows = [b'{"id":"c%d","bad":NaN}' % number for number in range(100)]
    assert len(read_readable_completions(page(rows)).malformed) == 100
    with pytest.raises(InvalidResponseError, match="too long to split"):
        read_readable_completions(page(rows * 2))


def nested(inner: Any, depth: int) -> Any:
    """Put a value into so many arrays and objects."""
    for level in range(depth):
        inner = [inner, '"]'] if level % 2 else {'a\\"{': inner, "b": "\\"}
    return inner


@given(
    st.lists(
        st.tuples(
            st.recursive(
                st.none() | st.integers() | st.text(alphabet='ab"\\[]{},:'),
                lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\[a'), inner),
            ),
            st.sampled_from([0, 1, 95, 99, 100, 101, 130, 180]),
        ),
        max_size=4,
    )
)
def test_rows_are_found_whatever_they_hold(values: list[tuple[Any, int]]) -> None:
    """Each row comes out as it went in, to the byte, on both sides of the depth."""
    rows = [json.dumps({"id": "x", "v": nested(value, depth)}).encode() for value, depth in values]
    found, rest = split_rows(page(rows))
    assert found == rows
    assert json.loads(rest) == {"object": "list", "data": [], "has_more": False}


@given(st.text(alphabet='a"\\[]{},:', max_size=60), st.integers(0, 3))
def test_any_text_has_an_end(text: str, blocks: int) -> None:
    """Whatever the text: marks come in order, do not overlap, and brackets give the depth."""
    whole = b"[" * (blocks * 60) + text.encode()
    end = depth = 0
    for mark in marks_of(whole):
        assert end <= mark.start < mark.end <= len(whole)
        end = mark.end
        if depth <= DEEP and mark.depth < DEEP:
            assert mark.depth == depth - (mark.token in CLOSE)
        depth = mark.depth + (mark.token in OPEN)
