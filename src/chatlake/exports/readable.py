"""A stored conversation for people: messages in order, made of texts, images and calls."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from chatlake.exports.stored import Json, Stored, as_list, as_object
from chatlake.model.counts import count
from chatlake.model.image_references import EmbeddedImage, decode_data_url, is_data_url

BlockKind = Literal["text", "refusal", "image", "link", "missing", "json"]

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"GIF87a", "image/gif", "gif"),
    (b"GIF89a", "image/gif", "gif"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a message: a text, an image with its bytes, or a link, which is not followed.

    `text` is the text, the link, or JSON; `missing` is an image whose bytes the lake does not have.
    """

    kind: BlockKind
    text: str = ""
    image: EmbeddedImage | None = None


@dataclass(frozen=True, slots=True)
class ReadableMessage:
    """A message: `choice` is its index among several replies, else None. `calls`: name, arguments.

    `notes` are short remarks, such as the reason why a reply ended.
    """

    role: str
    name: str | None = None
    choice: int | None = None
    blocks: list[Block] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def readable(stored: Stored) -> list[ReadableMessage]:
    """Return the messages of a conversation, then each reply."""
    choices = stored.choices
    messages = [_message(sent) for sent in stored.inputs or ()]
    for number, choice in enumerate(choices):
        reason = choice.get("finish_reason")
        notes = [] if reason in (None, "stop", "tool_calls") else [f"finish_reason: {reason}"]
        messages.append(
            _message(
                {"role": "assistant", **as_object(choice.get("message"))},
                choice=number if len(choices) > 1 else None,
                notes=notes,
            )
        )
    return messages


def kind_of(data: bytes) -> tuple[str, str] | None:
    """Return media type and file ending that an image's first bytes show; None if none is known."""
    for start, media_type, ending in _SIGNATURES:
        if data.startswith(start):
            return media_type, ending
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp", "webp"
    return None


def pretty(text: str) -> str:
    """Return a text of JSON on several lines; unchanged where it is not JSON."""
    try:
        return as_pretty(json.loads(text))
    except (ValueError, RecursionError):
        return text


def as_pretty(value: Any) -> str:
    """Return a value as JSON on several lines."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def image_block(part: Json) -> Block:
    """Return the block of a part that shows an image."""
    url = as_object(part.get("image_url")).get("url")
    if not isinstance(url, str):
        return Block("json", as_pretty(part))
    if not is_data_url(url):
        return Block("missing" if url.startswith("chatlake-image:") else "link", url)
    found = decode_data_url(url)
    return Block("missing", "undecodable image") if found is None else Block("image", image=found)


def _message(
    sent: Json,
    *,
    choice: int | None = None,
    notes: list[str] | None = None,
) -> ReadableMessage:
    name = sent.get("name")
    call_id = sent.get("tool_call_id")
    return ReadableMessage(
        role=str(sent.get("role") or "unknown"),
        name=name if isinstance(name, str) and name else None,
        choice=choice,
        blocks=_blocks(sent),
        calls=[_call(as_object(call)) for call in as_list(sent.get("tool_calls"))],
        notes=[*(notes or ()), *([f"answers {call_id}"] if call_id else ())],
    )


def _blocks(sent: Json) -> list[Block]:
    content = sent.get("content")
    parts = as_list(sent.get("content_parts")) or as_list(content)
    blocks = [_block(as_object(part)) for part in parts]
    if not parts and content:
        blocks = [Block("text", content if isinstance(content, str) else as_pretty(content))]
    if refusal := sent.get("refusal"):
        blocks.append(Block("refusal", str(refusal)))
    transcript = as_object(sent.get("audio")).get("transcript")
    if transcript:
        blocks.append(Block("text", f"[audio] {transcript}"))
    return blocks


def _block(part: Json) -> Block:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return Block("text", part["text"])
    if part.get("type") == "image_url":
        return image_block(part)
    if part.get("type") == "refusal":
        return Block("refusal", str(part.get("refusal")))
    shown = {key: _short(value) for key, value in part.items() if value is not None}
    return Block("json", as_pretty(shown))


def _short(value: Any) -> Any:
    """Return a value without the long data of audio and files."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, str) and len(value) > 1000:
        return f"{value[:60]}… ({count(len(value), 'character')})"
    return value


def _call(call: Json) -> tuple[str, str]:
    function = as_object(call.get("function")) or as_object(call.get("custom"))
    arguments = function.get("arguments", function.get("input"))
    text = arguments if isinstance(arguments, str) else as_pretty(arguments)
    return str(function.get("name") or "unnamed"), pretty(text)
