"""Content parts: one row each, in order, whatever their type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flat import CREATED, ID, choice, completion, image, message, part, rows_of


def parts_of(content: Any, parts: Any) -> list[dict[str, Any]]:
    """Return the part rows of one input message."""
    return rows_of(completion(choices=[]), [message(content, parts)]).parts


def test_each_part_is_a_row_in_order() -> None:
    """Null-padded parts of the API give their columns, and raw as it was sent."""
    sent = [part(text="One"), image("https://x/y.png", "low"), part(text="Two")]
    rows = parts_of("One  Two", sent)
    assert [json.loads(row.pop("raw")) for row in rows] == sent
    assert [row.pop("raw_exact") for row in rows] == [None] * 3
    common = {
        "completion_id": ID, "message_id": f"{ID}-0", "message_index": 0, "direction": "input",
        "image_sha256": None, "media_type": None, "image_bytes": None,
        "part_source": "content_parts", "created_at": CREATED * 1_000_000,
    }  # fmt: skip
    assert rows == [
        common | {"part_index": 0, "type": "text", "text": "One", "image_url": None,
                  "image_detail": None},
        common | {"part_index": 1, "type": "image_url", "text": None,
                  "image_url": "https://x/y.png", "image_detail": "low"},
        common | {"part_index": 2, "type": "text", "text": "Two", "image_url": None,
                  "image_detail": None},
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["Hi", "", " ", "[]", "\u0000"])
def test_a_plain_string_is_one_text_row(content: str) -> None:
    """Index 0, from `content`; there is no object that could stand in raw."""
    (row,) = parts_of(content, None)
    names = ("part_index", "type", "text", "part_source", "raw")
    assert [row[name] for name in names] == [0, "text", content, "content", None]


@pytest.mark.parametrize("content", [None, 5, {"a": 1}, True, []])
def test_without_parts_and_string_there_is_no_row(content: Any) -> None:
    """The message still has its own row."""
    rows = rows_of(completion(choices=[]), [message(content)])
    assert rows.parts == []
    assert [row["part_count"] for row in rows.messages] == [0]


@pytest.mark.parametrize("parts", [None, [], {}, "text", 7, True])
def test_what_is_no_list_of_parts_leaves_the_content(parts: Any) -> None:
    """No parts, or nothing that is a list: the string counts."""
    (row,) = parts_of("Hi", parts)
    assert (row["text"], row["part_source"]) == ("Hi", "content")


@pytest.mark.parametrize(
    "odd",
    [
        part("input_audio", input_audio={"data": "AAAA", "format": "wav"}),
        part("file", file={"file_id": "file-1", "file_data": "data:application/pdf;base64,AAAA"}),
        part("hologram", hologram={"depth": [1, 2]}),
        {"type": None},
        {"type": {"kind": 1}},
        {},
        part(text={"value": "nested"}),
        part("image_url"),
        part("image_url", image_url={"detail": "low"}),
        part("image_url", image_url={"url": 7}),
        part("image_url", image_url=[]),
        None,
        7,
        [part(text="deep")],
    ],
)
def test_any_part_is_kept(odd: Any) -> None:
    """Of an unknown or broken part the row stands, with its type where it has one, and its raw."""
    before, row, after = parts_of("a b", [part(text="a"), odd, part(text="b")])
    assert json.loads(row["raw"]) == odd
    kind = odd.get("type") if isinstance(odd, dict) else None
    assert row["type"] == (
        kind if isinstance(kind, str | None) else json.dumps(kind).replace(" ", "")
    )
    assert (row["text"], row["image_url"], row["image_sha256"]) == (None, None, None)
    assert (before["text"], after["text"], after["part_index"]) == ("a", "b", 2)


def test_any_part_may_have_a_text() -> None:
    """`text` counts whatever the type."""
    rows = rows_of(completion(), [message("x", [{"type": "input_text", "text": "x"}])])
    assert (rows.parts[0]["type"], rows.parts[0]["text"]) == ("input_text", "x")
    assert rows.inputs[0]["text"] == "x"


def test_an_image_url_may_be_a_plain_string() -> None:
    """Other APIs send the link as text, without an object around it."""
    (row,) = parts_of(None, [part("image_url", image_url="https://x/y")])
    assert (row["image_url"], row["image_detail"]) == ("https://x/y", None)


def test_parts_may_be_sent_as_the_content() -> None:
    """Other servers send the list there; the rows are the same, and say where they come from."""
    sent = [part(text="One"), image("https://x/y"), "plain"]
    rows = rows_of(completion(choices=[choice(sent)]), [message(sent)])
    assert [row["text"] for row in rows.parts] == ["One", None, "plain"] * 2
    assert [row["type"] for row in rows.parts] == ["text", "image_url", "text"] * 2
    assert {row["part_source"] for row in rows.parts} == {"content"}
    for row in rows.messages:
        assert (row["content"], row["text"], row["part_count"]) == (None, "One\nplain", 3)


def test_parts_go_before_a_list_in_content() -> None:
    """Where both are lists, `content_parts` is what the API documents."""
    rows = rows_of(completion(choices=[]), [message([part(text="x")], [part(text="y")])])
    assert [row["text"] for row in rows.parts] == ["y"]
    assert json.loads(rows.messages[0]["content"]) == [part(text="x")]


def test_a_reply_has_parts_too() -> None:
    """A reply's parts come from its content, with its message id and direction."""
    (row,) = rows_of(completion()).parts
    names = ("message_id", "message_index", "direction", "text", "part_source")
    assert [row[name] for name in names] == [f"{ID}-choice-0", 0, "output", "Hello.", "content"]


def test_image_count_counts_the_image_parts() -> None:
    """Linked, embedded, broken and repeated ones all count."""
    url = "data:image/png;base64,AAAA"
    sent = [image("https://x/y"), image(url), image(url), image("data:,"), part(text="x")]
    rows = rows_of(completion(choices=[choice([image(url)])]), [message("", sent)])
    assert rows.completion["image_count"] == 5
    assert len(rows.flat.images) == 1
