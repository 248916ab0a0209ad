"""Servers whose `/messages` ends with the reply itself: it is stored once, and comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flat import ID, Rows, choice, completion, exact, image, message, part, rebuilt, rows_of


def said(content: Any, parts: Any = None, *, number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a message of the assistant."""
    return message(content, parts, number=number, role="assistant", **fields)


def back(rows: Rows, sent: Any, messages: Any) -> bool:
    """Whether everything comes back as it was sent."""
    return bool(rebuilt(rows) == exact(json.dumps({"completion": sent, "messages": messages})))


CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("reply", "repeated"),
    [
        (choice("Hello."), said("Hello.")),
        (choice("Hello."), said(None, [part(text="Hello.")])),
        (choice("Hello."), said("Hello.", [part(text="Hello.")])),
        (choice([part(text="a"), part(text="b")]), said("a b", [part(text="a"), part(text="b")])),
        (choice(None, tool_calls=CALLS), said(None)),
        (choice(None, tool_calls=CALLS), said("")),
        (choice(None, tool_calls=CALLS), said(None, tool_calls=CALLS)),
        (choice("Hello."), said("Hello.", tool_calls=None, new={"deep": [1]})),
        (choice(None, refusal="No."), said(None, refusal="No.")),
    ],
)
def test_a_repeated_reply_is_an_output_only(reply: Any, repeated: Any) -> None:
    """One row for it, with what `/messages` sent of it beside."""
    sent, messages = completion(choices=[reply]), [message("Hi"), repeated]
    rows = rows_of(sent, messages)
    assert [row["direction"] for row in rows.messages] == ["input", "output"]
    assert rows.messages[1]["message_id"] == f"{ID}-choice-0"
    assert json.loads(rows.messages[1]["echo_raw"]) == repeated
    assert rows.completion["message_count"] == 2
    assert back(rows, sent, messages)


@pytest.mark.parametrize(
    "last",
    [
        said("Hello"),
        said("hello."),
        said("Hello. "),
        message("Hello.", number=1),
        message("Hello.", number=1, role="developer"),
        said(None),
        said("Hello.", [part(text="Hello."), image("https://x/y")]),
        message("Hello.", number=1, role="Assistant"),
    ],
)
def test_what_only_resembles_the_reply_is_an_input(last: Any) -> None:
    """A prefill, another role, another text: it was part of the request."""
    sent, messages = completion(), [message("Hi"), last]
    rows = rows_of(sent, messages)
    assert [row["direction"] for row in rows.messages] == ["input", "input", "output"]
    assert rows.messages[2]["echo_raw"] is None
    assert back(rows, sent, messages)


@pytest.mark.parametrize(
    ("reply", "last"),
    [
        (choice(""), said(None)),
        (choice(None, refusal="I cannot help."), said("")),
        (choice(None, refusal="I cannot help."), said(None, tool_calls=CALLS)),
        (choice(None, refusal="I cannot help."), said(None, refusal="Never.")),
        (choice("Hello."), said("Hello.", tool_calls=CALLS)),
    ],
)
def test_a_message_that_says_nothing_or_more_is_an_input(reply: Any, last: Any) -> None:
    """Two empty messages are not repetitions, and a message with more than the reply is not the
    reply.
    """
    sent, messages = completion(choices=[reply]), [message("Hi"), last]
    rows = rows_of(sent, messages)
    assert [row["direction"] for row in rows.messages] == ["input", "input", "output"]
    assert back(rows, sent, messages)


def test_other_tool_calls_are_no_repetition() -> None:
    """Where both have tool calls, these are compared."""
    other = [CALLS[0] | {"id": "call_2"}]
    sent, messages = (
        completion(choices=[choice(None, tool_calls=CALLS)]),
        [said(None, tool_calls=other)],
    )
    rows = rows_of(sent, messages)
    assert [row["direction"] for row in rows.messages] == ["input", "output"]
    assert back(rows, sent, messages)


@pytest.mark.parametrize(
    ("contents", "echoed"),
    [
        (["Hi", "A", "B"], [True, True]),
        (["Hi", "A"], [True, False]),
        (["Hi", "B"], [False, True]),
        (["A", "Hi", "B"], [False, True]),
        (["B", "A"], [True, False]),
        ([], [False, False]),
        (["A", "B", "A", "B"], [True, True]),
    ],
)
def test_of_several_replies_each_may_be_repeated(contents: list[str], echoed: list[bool]) -> None:
    """Only the end of the list counts, in the order of the choices."""
    sent = completion(choices=[choice("A"), choice("B", 1)])
    messages = [said(content, number=n) for n, content in enumerate(contents)]
    rows = rows_of(sent, messages)
    assert [row["echo_raw"] is not None for row in rows.outputs] == echoed
    assert len(rows.inputs) == len(contents) - sum(echoed)
    assert back(rows, sent, messages)


def test_equal_replies_are_repeated_as_often_as_they_are_sent() -> None:
    """Two equal choices and one repetition leave one input fewer, not two."""
    sent = completion(choices=[choice("A"), choice("A", 1)])
    messages = [message("Hi"), said("A")]
    rows = rows_of(sent, messages)
    assert len(rows.inputs) == 1
    assert sum(row["echo_raw"] is not None for row in rows.outputs) == 1
    assert back(rows, sent, messages)


def test_a_repetition_with_a_lone_surrogate_keeps_its_exact_text() -> None:
    """`echo_raw` holds exact text, which strict JSON readers may refuse."""
    sent = json.dumps(completion(choices=[choice("@")])).replace("@", r"half \ud83d")
    repeated = json.dumps(said("@")).replace("@", r"half \ud83d")
    rows = rows_of(sent, [repeated])
    assert rows.outputs[0]["echo_raw"] == repeated
    assert rebuilt(rows) == {"completion": exact(sent), "messages": [exact(repeated)]}


def test_without_messages_nothing_is_a_repetition() -> None:
    """There is nothing to compare."""
    assert rows_of(completion(), None).messages[0]["echo_raw"] is None


def test_without_choices_everything_is_an_input() -> None:
    """The last message of the assistant is a message."""
    rows = rows_of(completion(choices=None), [said("Hello.")])
    assert [row["direction"] for row in rows.messages] == ["input"]
