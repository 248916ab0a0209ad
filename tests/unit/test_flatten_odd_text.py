"""Text that is no valid Unicode: replaced in the columns to read, exact in raw."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.flat import ID, Rows, choice, completion, exact, message, part, rebuilt, rows_of

PAIR = "\U0001f600"


def rows_with(escape: str, sent: Any, messages: list[Any]) -> Rows:
    """Flatten objects in which `@` stands for an escape; check that all of it comes back."""
    texts = [json.dumps(item).replace("@", escape) for item in (sent, *messages)]
    rows = rows_of(texts[0], texts[1:])
    assert rebuilt(rows) == {
        "completion": exact(texts[0]),
        "messages": [exact(text) for text in texts[1:]],
    }
    return rows


def assert_strict(rows: Rows) -> None:
    """Assert that strict readers take every text, and every JSON column as JSON."""
    for row in (rows.completion, *rows.messages, *rows.parts):
        for name, value in row.items():
            if isinstance(value, str):
                value.encode()
            if value is not None and name in {"raw", "tools", "tool_choice", "tool_calls"}:
                msgspec.json.decode(value)


@pytest.mark.parametrize(
    ("escape", "shown"),
    [
        (r"\ud83d", "\ufffd"),
        (r"\uDE00", "\ufffd"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\ud83d\ude00", f"\ufffd{PAIR}"),
        (r"\ud83d\ude00\ud83d", f"{PAIR}\ufffd"),
        (r"\\\ud83d", "\\\ufffd"),
    ],
)
def test_a_lone_surrogate_is_replaced_to_read_and_kept_in_raw(escape: str, shown: str) -> None:
    """In content and text; raw is valid JSON, and raw_exact is what was sent."""
    rows = rows_with(
        escape,
        completion(choices=[choice("out @")]),
        [message("in @", [part(text="part @")]), message("plain", number=1)],
    )
    assert_strict(rows)
    first, second, reply = rows.messages
    assert (first["content"], first["text"]) == (f"in {shown}", f"part {shown}")
    assert (reply["content"], reply["text"]) == (f"out {shown}", f"out {shown}")
    assert [row["text"] for row in rows.parts] == [f"part {shown}", "plain", f"out {shown}"]
    assert second["raw_exact"] is None
    for row in (rows.completion, first, reply):
        assert row["raw_exact"] != row["raw"]
        assert escape in row["raw_exact"]


@pytest.mark.parametrize("escape", [r"\ud83d\ude00", r"\u0000", r"\\ud83d", r"\\\\ud83d", r"\/"])
def test_valid_escapes_are_no_oddity(escape: str) -> None:
    """Pairs, NUL and escaped backslashes are what they say, and need no second text."""
    rows = rows_with(escape, completion(choices=[choice("@")]), [message("@")])
    assert_strict(rows)
    said = json.loads(f'"{escape}"')
    assert [row["content"] for row in rows.messages] == [said, said]
    assert [row["raw_exact"] for row in (rows.completion, *rows.messages)] == [None, None, None]


def test_lone_surrogates_are_kept_wherever_they_stand() -> None:
    """In metadata, keys, tool arguments, tools, names and unknown fields."""
    call = {"id": "c", "type": "function", "function": {"name": "f@", "arguments": '{"a": "@"}'}}
    rows = rows_with(
        r"\udfff",
        completion(
            metadata={"k@": "v@", "k": "v"},
            tools=[{"type": "function", "function": {"name": "@"}}],
            tool_choice="@",
            model="@",
            choices=[choice(None, tool_calls=[call]), choice("@", 1), choice("plain", 2)],
            odd={"@": ["@"]},
        ),
        [message("x", name="@"), message(None, [part("@", text="@")], number=1)],
    )
    assert_strict(rows)
    assert rows.completion["metadata"] == [("k\ufffd", "v\ufffd"), ("k", "v")]
    assert rows.completion["model"] == "\ufffd"
    assert json.loads(rows.completion["tool_choice"]) == r"\udfff"
    assert json.loads(rows.completion["tools"])[0]["function"]["name"] == r"\udfff"
    assert rows.inputs[0]["name"] == "\ufffd"
    arguments = json.loads(rows.outputs[0]["tool_calls"])[0]["function"]["arguments"]
    assert arguments == r'{"a": "\udfff"}'
    assert [row["content"] for row in rows.outputs] == [None, "\ufffd", "plain"]


def test_look_alikes_keep_their_own_text() -> None:
    """Values that are the same once cleaned are not mixed up."""
    text = (
        rf'{{"id": "{ID}", "choices_": ["\ufffd"], "note": "\"choices\": [", "choices": ['
        r'{"index": 0, "message": {"content": "\ud800", "tool_calls": ["\ud802"]}},'
        r'{"index": 1},'
        r'{"index": 2, "message": {"content": "\ud801", "tool_calls": ["\ud803"]}}]}'
    )
    rows = rows_of(text)
    exact_texts = [row["raw_exact"] or row["raw"] for row in rows.outputs]
    assert [json.loads(sent) for sent in exact_texts] == [
        {"content": "\ud800", "tool_calls": ["\ud802"]},
        None,
        {"content": "\ud801", "tool_calls": ["\ud803"]},
    ]
    assert [row["tool_calls"] for row in rows.outputs] == [r'["\\ud802"]', None, r'["\\ud803"]']


@pytest.mark.parametrize("odd", [["@"], "@", {"@": 1}, {"message": "@"}, {"message": ["@"]}])
def test_a_choice_of_an_odd_shape_with_odd_text_does_no_harm(odd: Any) -> None:
    """What is no message has no columns, and is kept in the completion."""
    rows = rows_with(r"\ud83d", completion(choices=[odd, choice("@", 1)]), [])
    assert_strict(rows)
    assert [row["content"] for row in rows.outputs] == [None, "\ufffd"]


def test_boundless_numbers_stay_in_raw() -> None:
    """In any field of any object, known or not, without harm to the others."""
    sent = json.dumps(completion(choices=[choice("A") | {"logprobs": "@"}], usage={"n": "@"}))
    messages = [
        json.dumps(message("B", [part(text="C") | {"n": "@"}, part(text="@")], name="@")),
        json.dumps(message("D", number=1)),
    ]
    texts = [text.replace('"@"', "1e400") for text in (sent, *messages)]
    rows = rows_of(texts[0], texts[1:])
    assert rebuilt(rows) == {
        "completion": exact(texts[0]),
        "messages": [exact(text) for text in texts[1:]],
    }
    assert [row["content"] for row in rows.messages] == ["B", "D", "A"]
    assert [row["text"] for row in rows.parts] == ["C", None, "D", "A"]
    assert rows.inputs[0]["name"] is None
    assert [row["raw_exact"] for row in (rows.completion, *rows.messages)] == [None] * 4
    assert "1e400" in rows.parts[0]["raw"]
