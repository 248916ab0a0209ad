"""Output for people: numbers, tables, values, and nothing that a terminal would obey."""

from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatlake.cli import words
from chatlake.cli.output import printable
from chatlake.cli.sql_formats import (
    Result,
    unique,
    write_csv,
    write_json,
    write_jsonl,
    write_markdown,
)
from chatlake.cli.sql_values import as_json, as_text
from chatlake.cli.table import Cell, Layout, lines
from chatlake.model.counts import count

MOMENT = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (0.44, "0.4 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"),
        (7500, "2 h 5 min"), (86_400 * 3 + 4 * 3600 + 59, "3 d 4 h"),
    ],
)  # fmt: skip
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    """Durations are shown as people write them."""
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (36_175_872, "34.5 MiB"),
        (2**50, "1,024.0 TiB"),
    ],
)
def test_a_size_has_a_binary_unit(octets: int, text: str) -> None:
    """Bytes are shown in KiB, MiB, GiB, TiB."""
    assert words.size(octets) == text


def test_a_count_has_its_noun_in_the_right_number() -> None:
    """One completion, two completions, thousands with a comma."""
    assert [count(number, "run") for number in (0, 1, 1234)] == [
        "0 runs",
        "1 run",
        "1,234 runs",
    ]


def test_a_text_from_strangers_cannot_steer_the_terminal() -> None:
    """Escape sequences, line breaks and turned directions are shown as what they are."""
    assert printable("\x1b[31mred\n\u202eabc\x9b") == r"\x1b[31mred\n\u202eabc\x9b"


def _table(headers: list[str], rows: list[list[str]], width: int | None) -> list[str]:
    layout = Layout(headers, [False] * len(headers), width)
    return list(lines(layout, [[Cell(text) for text in row] for row in rows], "", ""))


def test_a_table_in_a_pipe_is_whole() -> None:
    """Without a terminal nothing is cut."""
    long = "x" * 300
    assert long in _table(["a", "b"], [[long, "1"]], None)[2]


@given(
    st.integers(min_value=30, max_value=200),
    st.lists(st.text("abc 日本é", min_size=1, max_size=80), min_size=1, max_size=30),
)
def test_a_table_fits_its_terminal(width: int, row: list[str]) -> None:
    """No line is wider than the terminal, whatever the columns."""
    from rich.cells import cell_len

    shown = _table([f"column{i}" for i in range(len(row))], [row], width)
    assert len(shown) == 3
    assert max(cell_len(line) for line in shown) <= width


def test_columns_that_do_not_fit_are_left_out_in_the_middle() -> None:
    """First and last columns stay, an ellipsis stands for the others."""
    shown = _table([f"c{i}" for i in range(30)], [["v" * 20] * 30], 100)
    assert shown[0].startswith("c0")
    assert shown[0].rstrip().endswith("c29")
    assert "│ … │" in shown[0]


def test_important_columns_stay_in_their_order() -> None:
    """A narrow terminal shows those that the caller names, as far as there is room for them."""
    headers = [f"c{i}" for i in range(12)]
    row = [Cell("v" * 10) for _ in headers]
    layout = Layout(headers, [False] * 12, 70, important=[9, 2, 5, 7, 1])
    header = next(iter(lines(layout, [row], "", "")))
    assert [name for name in header.split() if name[0] == "c"] == ["c1", "c2", "c5", "c7", "c9"]
    layout = Layout(headers, [False] * 12, 60, important=[9, 2, 5, 7, 1])
    header = next(iter(lines(layout, [row], "", "")))
    assert [name for name in header.split() if name[0] == "c"] == ["c2", "c5", "c7", "c9"]


def test_empty_columns_make_room_first_and_texts_stay() -> None:
    """Of many columns those without a value go before any other, and a text goes last of all."""
    headers = [f"c{i}" for i in range(12)]
    layout = Layout(headers, [False] * 12, 110, texts=[i == 6 for i in range(12)])
    row = [Cell("v" * 20) for _ in headers]
    row[0] = row[11] = Cell("NULL", quiet=True)
    row[6] = Cell("words that one would like to read")
    list(lines(layout, [row, row], "", ""))
    assert 6 in layout.shown
    assert not {0, 11} & set(layout.shown)
    assert len(layout.shown) < 10


def test_a_column_with_one_value_is_not_empty() -> None:
    """NULL in most rows does not hide it before others."""
    layout = Layout(["a", "b", "c"], [False] * 3, 26)
    null, value = Cell("NULL", quiet=True), Cell("v" * 9)
    list(lines(layout, [[value, null, null], [value, null, value]], "", ""))
    assert layout.shown == [0, 2]


VALUES: list[tuple[Any, str, str]] = [
    (True, "true", "true"),
    (2**100, str(2**100), str(2**100)),
    (-9042522494295578869, "-9042522494295578869", "-9042522494295578869"),
    (Decimal("1.10"), "1.10", "1.10"),
    (0.1, "0.1", "0.1"),
    (float("nan"), "nan", "null"),
    (MOMENT, "2026-01-31T08:15:00Z", '"2026-01-31T08:15:00Z"'),
    (MOMENT.replace(tzinfo=None), "2026-01-31T08:15:00", '"2026-01-31T08:15:00"'),
    (date(2026, 1, 31), "2026-01-31", '"2026-01-31"'),
    (timedelta(days=1), "P1D", '"P1D"'),
    (b"\x00\xff", "AP8=", '"AP8="'),
    (["a", None, 2**70], f'["a",null,{2**70}]', f'["a",null,{2**70}]'),
    ({1: MOMENT}, '{"1":"2026-01-31T08:15:00Z"}', '{"1":"2026-01-31T08:15:00Z"}'),
    (uuid.UUID(int=1), str(uuid.UUID(int=1)), f'"{uuid.UUID(int=1)}"'),
]


@pytest.mark.parametrize(("value", "text", "in_json"), VALUES)
def test_values_are_exact_in_every_format(value: Any, text: str, in_json: str) -> None:
    """Numbers keep every digit, times are ISO 8601 in UTC, bytes base64."""
    assert as_text(value) == text
    assert as_json(value) == in_json.encode()


def test_a_json_column_is_nested_and_invalid_json_is_text() -> None:
    """What a JSON column holds is put in as it is, on one line; anything else is a string."""
    assert (
        as_json('{"seed": 1e400,\n "a": [1.10]}', is_json=True) == b'{"seed": 1e400,  "a": [1.10]}'
    )
    assert as_json("{broken", is_json=True) == b'"{broken"'
    assert as_json(None, is_json=True) == b"null"


ROWS = [("a,b", 1, '{"x": 1}'), ('say "hi"\n', None, None), ("", 2, "[]")]
RESULT = ("text", "n", "j"), ("VARCHAR", "INTEGER", "JSON")


def _written(write: Any, rows: Any = ROWS) -> str:
    output = io.BytesIO()
    write(Result(*RESULT, rows), output)
    return output.getvalue().decode()


def test_csv_tells_null_from_the_empty_text() -> None:
    """Fields are quoted as RFC 4180 says; NULL is nothing, an empty text is a pair of quotes."""
    assert _written(write_csv) == 'text,n,j\n"a,b",1,"{""x"": 1}"\n"say ""hi""\n",,\n"",2,[]\n'


def test_json_and_json_lines_hold_the_same_objects() -> None:
    """Both parse, column by column, with JSON columns nested."""
    rows = json.loads(_written(write_json))
    assert rows == [json.loads(line) for line in _written(write_jsonl).splitlines()]
    assert rows[0] == {"text": "a,b", "n": 1, "j": {"x": 1}}
    assert json.loads(_written(write_json, [])) == []


def test_markdown_keeps_each_row_on_one_line() -> None:
    """Pipes are escaped, line breaks become tags, and other tags have no effect."""
    text = _written(write_markdown, [("a|b\n<i>", 1, None)])
    assert text.splitlines()[2] == r"| a\|b<br>&lt;i> | 1 | NULL |"


def test_columns_of_one_name_are_told_apart() -> None:
    """A JSON object cannot hold one key twice."""
    assert unique(["a", "a", "b", "a"]) == ["a", "a_1", "b", "a_2"]
