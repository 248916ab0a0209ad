"""A conversation as a person reads it on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from chatlake.cli.words import moment, size
from chatlake.lake.catalog.conversation import Record, StoredConversation
from chatlake.model.counts import count
from chatlake.model.terminal_text import printable

_INDENT: Final = "  "
_TOKENS: Final = (
    ("prompt_tokens", "prompt"), ("cached_tokens", "of them cached"),
    ("completion_tokens", "reply"), ("reasoning_tokens", "of them reasoning"),
)  # fmt: skip

Paint = Callable[[str, str], str]
"""Applies a style to a text, or leaves it unchanged."""


def conversation_lines(
    conversation: StoredConversation, paint: Paint, only: int | None = None
) -> Iterator[str]:
    """Yield the lines: what the completion is, then each message; `only`: just that message.

    Outside text appears with its control characters escaped.
    """
    yield from _heading(conversation, paint)
    for message in conversation.messages:
        if only is None or message["message_index"] == only:
            yield ""
            yield from _message(conversation, message, paint)
    missing = _missing(conversation)
    if missing and only is None:
        yield ""
        yield paint(missing, "yellow")


def _heading(conversation: StoredConversation, paint: Paint) -> Iterator[str]:
    row = conversation.completion
    created = (
        moment(row["created_at"]) if row["created_at"] else printable(str(row["created_date"]))
    )
    yield paint(printable(row["completion_id"]), "bold")
    facts = [row["source"], created, printable(row["model"] or "no model")]
    yield " · ".join(facts)
    yield " · ".join(_figures(row))
    if row["metadata"]:
        pairs = sorted(row["metadata"].items())
        yield " ".join(printable(f"{key}={value}") for key, value in pairs)
    changes = [each for each in conversation.versions if each["change"] == "changed"]
    if changes:
        newest = moment(changes[-1]["observed_at"])
        yield paint(f"changed at the source {count(len(changes), 'time')}, last {newest}", "dim")
    if row["deleted_at"]:
        yield paint(f"deleted at the source, seen {moment(row['deleted_at'])}", "yellow")


def _figures(row: Record) -> Iterator[str]:
    if row["message_count"] is not None:
        yield count(row["message_count"], "message")
    if row["image_count"]:
        yield count(row["image_count"], "image")
    if row["total_tokens"] is not None:
        known = [
            f"{count(row[column])} {word}" for column, word in _TOKENS if row[column] is not None
        ]
        yield f"{count(row['total_tokens'], 'token')} ({', '.join(known)})"
    yield from (printable(reason) for reason in row["finish_reasons"] or () if reason)


def _message(conversation: StoredConversation, message: Record, paint: Paint) -> Iterator[str]:
    role = printable(message["role"] or "unknown role")
    name = f" {printable(message['name'])}" if message["name"] else ""
    notes = [f"#{message['message_index']}"]
    if message["direction"] == "output":
        choices = conversation.completion["choice_count"] or 1
        which = f" {message['choice_index'] + 1} of {choices}" if choices > 1 else ""
        notes.append(f"reply{which}")
        if message["finish_reason"] not in (None, "stop"):
            notes.append(printable(message["finish_reason"]))
    if message["tool_call_id"]:
        notes.append(f"result of {printable(message['tool_call_id'])}")
    yield f"{paint(role + name, 'bold')} {paint(' · '.join(notes), 'dim')}"
    empty = True
    for text in _content(conversation, message, paint):
        empty = False
        yield _INDENT + text
    if empty:
        yield _INDENT + paint("(no content)", "dim")


def _content(conversation: StoredConversation, message: Record, paint: Paint) -> Iterator[str]:
    parts = conversation.parts.get(message["message_index"], ())
    for part in parts:
        if part["text"] is not None:
            yield from _lines(part["text"])
        elif part["type"] == "image_url":
            yield paint(f"[{_image(conversation, part)}]", "dim")
        else:
            yield paint(f"[{printable(part['type'] or 'unknown part')}]", "dim")
    if not parts and message["text"]:
        yield from _lines(message["text"])
    if message["refusal"]:
        first, *rest = _lines(message["refusal"])
        yield f"{paint('refused:', 'red')} {first}"
        yield from rest
    for call in _calls(message["tool_calls"]):
        yield from _call(call, paint)


def _image(conversation: StoredConversation, part: Record) -> str:
    digest = part["image_sha256"]
    if digest is None:
        return f"image {printable(part['image_url'])}" if part["image_url"] else "image, not stored"
    width, height = conversation.sizes.get(digest, (None, None))
    pixels = f", {width}×{height}" if width and height else ""
    octets = f", {size(part['image_bytes'])}" if part["image_bytes"] is not None else ""
    return f"image {printable(part['media_type'] or '')}{pixels}{octets}, sha256 {digest[:12]}"


def _calls(text: str | None) -> Sequence[Any]:
    try:
        calls = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return []
    return calls if isinstance(calls, list) else []


def _call(call: Any, paint: Paint) -> Iterator[str]:
    inner: Any = {}
    if isinstance(call, dict):
        inner = call.get("function") or call.get("custom") or {}
    inner = inner if isinstance(inner, dict) else {}
    name = printable(str(inner.get("name") or "unknown tool"))
    known = printable(str(call["id"])) if isinstance(call, dict) and call.get("id") else ""
    yield f"{paint(f'→ {name}', 'green')} {paint(known, 'dim')}".rstrip()
    arguments = inner.get("arguments", inner.get("input"))
    if isinstance(arguments, str) and arguments:
        for line in _lines(_pretty(arguments)):
            yield _INDENT + line


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _lines(text: str) -> list[str]:
    return [printable(line) for line in text.split("\n")]


def _missing(conversation: StoredConversation) -> str:
    expected, held = conversation.completion["message_count"], len(conversation.messages)
    if expected is None:
        return "The messages could not be fetched yet. `chatlake failures` gives the reason."
    if expected != held:
        of_all = count(expected, "message")
        return f"The lake has {held:,} of {of_all}. `chatlake verify` names what is lost."
    return ""
