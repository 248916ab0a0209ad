"""Messages: inputs and outputs, their order, their ids, their columns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatlake.model.values import invalid_argument_calls
from tests.flat import CREATED, ID, choice, completion, message, part, rebuilt, rows_of


def test_inputs_come_first_and_outputs_after() -> None:
    """Positions continue from the inputs to every choice."""
    rows = rows_of(
        completion(choices=[choice("A"), choice("B", 1)]),
        [message("Be kind.", role="system"), message("Hi", number=1, name="ann")],
    )
    names = ("message_id", "message_index", "direction", "choice_index", "role", "name", "content",
             "finish_reason")  # fmt: skip
    assert [tuple(row[name] for name in names) for row in rows.messages] == [
        (f"{ID}-0", 0, "input", None, "system", None, "Be kind.", None),
        (f"{ID}-1", 1, "input", None, "user", "ann", "Hi", None),
        (f"{ID}-choice-0", 2, "output", 0, "assistant", None, "A", "stop"),
        (f"{ID}-choice-1", 3, "output", 1, "assistant", None, "B", "stop"),
    ]
    for row in rows.messages:
        assert row["completion_id"] == ID
        assert row["created_at"] == CREATED * 1_000_000
        assert row["model"] == "gpt-4o-mini-2024-07-18"


def test_raw_is_the_object_as_it_was_sent() -> None:
    """White space, key order and unknown fields included."""
    sent = f'{{ "new" : [1,  2], "id": "{ID}-0",\n"content": "Hi" }}'
    (row,) = rows_of(completion(choices=[]), [sent]).messages
    assert row["raw"] == sent
    assert (row["raw_exact"], row["echo_raw"]) == (None, None)


def test_every_column_of_a_reply_is_filled() -> None:
    """Tool calls, refusal, the legacy function call: as columns or in raw."""
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": "'}},
        {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}},
    ]
    legacy = {"name": "g", "arguments": "{}"}
    reply = choice(None, tool_calls=calls, function_call=legacy, refusal="No.", annotations=[])
    (row,) = rows_of(completion(choices=[reply | {"finish_reason": "tool_calls"}])).messages
    assert (row["content"], row["text"], row["part_count"]) == (None, None, 0)
    assert json.loads(row["tool_calls"]) == calls
    assert (row["refusal"], row["finish_reason"]) == ("No.", "tool_calls")
    assert json.loads(row["raw"]) == reply["message"]


def test_a_tool_answer_names_its_call() -> None:
    """The id of the call is stored if the server sends it."""
    sent = message("42", role="tool", tool_call_id="call_1")
    assert rows_of(completion(), [sent]).inputs[0]["tool_call_id"] == "call_1"


@pytest.mark.parametrize("role", ["developer", "critic", None, 7])
def test_any_role_is_kept(role: Any) -> None:
    """Roles are never validated (api-behaviour)."""
    stored = rows_of(completion(), [message("Hi", role=role)]).inputs[0]["role"]
    assert stored == (None if role is None else str(role))


@pytest.mark.parametrize(
    ("content", "stored"),
    [("Hi", "Hi"), ("", ""), (None, None), (5, "5"), ({"a": [1]}, '{"a": [1]}'), (True, "true"),
     ([], None)],
)  # fmt: skip
def test_content_is_what_the_api_holds(content: Any, stored: str | None) -> None:
    """A string as it is, nothing as NULL, any other value as its JSON."""
    row = rows_of(completion(), [message(content)]).inputs[0]
    assert (row["content"], row["text"]) == (stored, stored)
    assert row["part_count"] == isinstance(content, str)


def test_text_prefers_the_parts() -> None:
    """`content` joins the parts and loses some of them (api-behaviour), so their texts are used."""
    parts = [
        part(text="One"),
        part("image_url", image_url={"url": "https://x/y"}),
        part(text="Two"),
    ]
    row = rows_of(completion(), [message("One  Two", parts)]).inputs[0]
    assert (row["content"], row["text"], row["part_count"]) == ("One  Two", "One\nTwo", 3)


def test_an_image_alone_has_no_text() -> None:
    """Without a text part, `text` is NULL and not empty."""
    parts = [part("image_url", image_url={"url": "https://x/y"})]
    row = rows_of(completion(), [message("", parts)]).inputs[0]
    assert (row["content"], row["text"]) == ("", None)


@pytest.mark.parametrize(
    ("indices", "stored"),
    [
        ([0, 1], [0, 1]),
        ([1, 0], [1, 0]),
        ([0, 0, 0], [0, 1, 2]),
        ([1, 1, 0], [1, 2, 0]),
        ([None, 0], [1, 0]),
        (["a", 2.0, -1, 2**31, True], [0, 2, 1, 3, 4]),
        ([127], [127]),
    ],
)
def test_every_choice_has_an_index_of_its_own(indices: list[Any], stored: list[int]) -> None:
    """The server's where it is a number and free, else the lowest free one."""
    rows = rows_of(completion(choices=[choice(str(n), index) for n, index in enumerate(indices)]))
    assert [row["choice_index"] for row in rows.outputs] == stored
    assert [row["message_id"] for row in rows.outputs] == [f"{ID}-choice-{n}" for n in stored]
    assert [row["content"] for row in rows.outputs] == [str(n) for n in range(len(indices))]


@pytest.mark.parametrize(
    "odd", [None, 7, "x", [], {}, {"index": 1}, {"index": 1, "message": None}, {"message": "Hi"}]
)
def test_a_choice_without_a_message_is_a_row_all_the_same(odd: Any) -> None:
    """Output messages come from every choice, whatever one holds; the others are unharmed."""
    sent = completion(choices=[choice("A"), odd])
    rows = rows_of(sent)
    assert [row["content"] for row in rows.outputs] == ["A", None]
    assert [row["choice_index"] for row in rows.outputs] == [0, 1]
    assert (rows.completion["choice_count"], rows.completion["message_count"]) == (2, 2)
    assert json.loads(rows.completion["raw"]) == sent


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ([f"{ID}-0", f"{ID}-1"], [f"{ID}-0", f"{ID}-1"]),
        (["msg-0", "7"], [f"{ID}-msg-0", f"{ID}-7"]),
        ([ID], [f"{ID}-{ID}"]),
        ([f"{ID}-0"] * 3, [f"{ID}-0", f"{ID}-0#2", f"{ID}-0#3"]),
        ([f"{ID}-0", f"{ID}-0#2", f"{ID}-0"], [f"{ID}-0", f"{ID}-0#2", f"{ID}-0#3"]),
        ([f"{ID}-choice-0"], [f"{ID}-choice-0#2"]),
        (["choice-0", f"{ID}-choice-7"], [f"{ID}-choice-0#2", f"{ID}-choice-7"]),
    ],
)
def test_message_ids_are_unique_whatever_the_server_calls_them(
    sent: list[str], stored: list[str]
) -> None:
    """The API's own id where it is one, else one made of it; a reply's id is never taken."""
    messages = [message(str(n), id=name) for n, name in enumerate(sent)]
    rows = rows_of(completion(), messages)
    assert [row["message_id"] for row in rows.inputs] == stored
    assert [row["message_id"] for row in rows.outputs] == [f"{ID}-choice-0"]
    assert [row["message_id"] for row in rows.parts] == [*stored, f"{ID}-choice-0"]
    assert [sent["content"] for sent in rebuilt(rows)["messages"]] == [
        str(n) for n in range(len(sent))
    ]


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [("{}", True), ('{"a": 1e400}', True), ('{"a": 1,}', False), ('{"a": NaN}', False),
     ("Infinity", False), ("{'a': 1}", False), ("", False), ('"\\ud800"', True)],
)  # fmt: skip
def test_invalid_arguments_are_known_by_position(arguments: str, valid: bool) -> None:
    """What RFC 8259 refuses is invalid, also where a lenient reader would take it."""
    good = {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    custom = {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": arguments}}
    rows = rows_of(completion(choices=[choice(None, tool_calls=[good, call, custom])]), [])
    assert rows.messages[-1]["invalid_argument_calls"] == (None if valid else [1, 2])


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "[1e400]", "[", "null"])
def test_calls_that_cannot_be_read_are_not_judged(text: str) -> None:
    """Nested too deeply, with a number too large, or cut off: none of their positions is named."""
    assert invalid_argument_calls(text.encode()) is None
