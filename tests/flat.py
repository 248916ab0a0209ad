"""Completions and messages as an API sends them, the rows that they give, and the way back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatlake.model.flatten import FlatCompletion, Observation, flatten
from chatlake.model.image_references import restore_references
from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.tables import COLUMNS, COMPLETIONS, CONTENT_PARTS, MESSAGES

ID = "chatcmpl-CTxOp1E8WvIfQtQ3En3hwngASdj0A"
CREATED = 1_760_000_000
SEEN = Observation("run-1", synced_at=2_000_000, first_seen_at=1_000_000)

Json = dict[str, Any]


def completion(**fields: Any) -> Json:
    """Return a stored completion as the API sends it; `fields` replace or add."""
    return {
        "object": "chat.completion",
        "id": ID,
        "model": "gpt-4o-mini-2024-07-18",
        "created": CREATED,
        "request_id": "req_" + "0" * 32,
        "tool_choice": None,
        "usage": {"total_tokens": 30, "completion_tokens": 10, "prompt_tokens": 20},
        "seed": -9042522494295578869,
        "top_p": 1.0,
        "temperature": 0.7,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "system_fingerprint": "fp_1",
        "input_user": None,
        "service_tier": "default",
        "tools": None,
        "metadata": {},
        "choices": [choice("Hello.")],
        "response_format": None,
        **fields,
    }


def without(value: Json, *keys: str) -> Json:
    """Return an object without some of its keys."""
    return {key: item for key, item in value.items() if key not in keys}


def choice(content: Any, index: Any = 0, **message: Any) -> Json:
    """Return one choice; `message` adds to what the assistant's message holds."""
    said = {"content": content, "role": "assistant", "tool_calls": None, "function_call": None}
    return {"index": index, "message": said | message, "finish_reason": "stop", "logprobs": None}


def message(content: Any, parts: Any = None, *, number: int = 0, **fields: Any) -> Json:
    """Return a stored message; `number` is its position."""
    return {
        "id": f"{ID}-{number}",
        "role": "user",
        "content": content,
        "content_parts": parts,
        "name": None,
        **fields,
    }


def part(kind: str = "text", **fields: Any) -> Json:
    """Return a content part, padded with nulls as the API pads it."""
    padding = {"text": None, "image_url": None, "input_audio": None, "file": None}
    return {"type": kind, **padding, **fields}


def image(url: str, detail: str | None = None) -> Json:
    """Return an image part."""
    return part("image_url", image_url={"url": url, "detail": detail})


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one completion as dictionaries by column."""

    flat: FlatCompletion
    completion: Json
    messages: list[Json]
    parts: list[Json]

    @property
    def inputs(self) -> list[Json]:
        """The input messages."""
        return [row for row in self.messages if row["direction"] == "input"]

    @property
    def outputs(self) -> list[Json]:
        """The output messages."""
        return [row for row in self.messages if row["direction"] == "output"]


def rows_of(sent: Json | str | bytes, messages: Sequence[Json | str] | None = ()) -> Rows:
    """Flatten a completion and its messages, given as objects or as JSON text."""
    flat = flatten(
        read_completion(_body(sent)),
        None if messages is None else read_message_page(page_of(messages)).items,
        SEEN,
    )
    return Rows(
        flat,
        _row(COMPLETIONS, flat.completion),
        [_row(MESSAGES, row) for row in flat.messages],
        [_row(CONTENT_PARTS, row) for row in flat.content_parts],
    )


def page_of(items: Sequence[Json | str], *, has_more: bool | None = False) -> bytes:
    """Return the body of a page of a list."""
    data = b", ".join(_body(item) for item in items)
    return b'{"object": "list", "data": [%b], "has_more": %b}' % (data, _body(has_more))


def rebuilt(rows: Rows) -> Any:
    """Put a completion together again, the way `export raw` does, and parse it."""
    sent = [
        row["echo_raw"] if row["direction"] == "output" else row["raw_exact"] or row["raw"]
        for row in rows.messages
    ]
    messages = [_restored(text, rows) for text in sent if text is not None]
    whole = _restored(rows.completion["raw_exact"] or rows.completion["raw"], rows)
    return exact(b'{"completion": %b, "messages": [%b]}' % (whole, b", ".join(messages)))


def exact(text: str | bytes) -> Any:
    """Parse JSON so that equal means equal: numbers by their digits, surrogates as they are."""
    return json.loads(text, parse_float=lambda t: ("float", t), parse_int=lambda t: ("int", t))


def _restored(text: str, rows: Rows) -> bytes:
    def load(sha256: str) -> bytes | None:
        found = rows.flat.images.get(sha256)
        return None if found is None else found.data

    return restore_references(text.encode(), load)


def _body(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def _row(table: str, row: Sequence[Any]) -> Json:
    return dict(zip(COLUMNS[table], row, strict=True))
