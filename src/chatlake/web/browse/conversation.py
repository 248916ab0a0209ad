"""One conversation: its completion, its messages in order, tool calls with their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from markupsafe import Markup

from chatlake.web.browse.catalogue import Session
from chatlake.web.browse.turns import Turn, turns_around
from chatlake.web.browse.versions import Version, versions_of
from chatlake.web.markdown import MOST_CHARACTERS, Rendering, plain
from chatlake.web.shown import pretty_json, visible

MOST_MESSAGES: Final = 1_000
_SHOWN: Final = MOST_CHARACTERS
_PART_SHOWN: Final = 2_000
_COMPLETION: Final = """
SELECT * EXCLUDE (raw, raw_exact, tools, response_format, metadata, created_at, first_seen_at,
        synced_at, deleted_at),
    map_entries(metadata) AS metadata, left(tools::VARCHAR, 200000) AS tools,
    left(response_format::VARCHAR, 50000) AS response_format,
    epoch_us(created_at) AS created_us, epoch_us(first_seen_at) AS first_seen_us,
    epoch_us(synced_at) AS synced_us, epoch_us(deleted_at) AS deleted_us
FROM completions
WHERE created_date = $day AND source = $source AND completion_id = $id
"""
_MESSAGES: Final = """
SELECT message_index, direction, choice_index, role, name, left(text, {shown}) AS text,
    length(text) AS characters, left(refusal, {shown}) AS refusal, tool_call_id,
    left(tool_calls::VARCHAR, 500000) AS tool_calls, finish_reason, invalid_argument_calls
FROM messages
WHERE created_date = $day AND source = $source AND completion_id = $id
ORDER BY message_index
LIMIT {most}
"""
_PARTS: Final = """
SELECT message_index, type, left(text, {shown}) AS text, left(image_url, 2000) AS image_url,
    image_detail, image_sha256, media_type, image_bytes, left(raw::VARCHAR, {part}) AS raw
FROM content_parts
WHERE created_date = $day AND source = $source AND completion_id = $id
    AND (part_source = 'content_parts' OR type IS DISTINCT FROM 'text')
ORDER BY message_index, part_index
LIMIT 5000
"""


@dataclass(frozen=True, slots=True)
class Key:
    """Names a completion; `day` is the UTC day of its creation."""

    source: str
    day: date
    completion_id: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the queries above."""
        return {"source": self.source, "day": self.day, "id": self.completion_id}


@dataclass(frozen=True, slots=True)
class Image:
    """An image part: `sha256` of an embedded image, or the `link` to one, which is not loaded."""

    sha256: str | None
    media_type: str | None
    bytes: int | None
    detail: str | None
    link: str | None


@dataclass(slots=True)
class Call:
    """A tool call, and the messages that answer it."""

    id: str
    kind: str
    name: str
    arguments: Markup
    is_valid: bool
    results: list[MessageShown] = field(default_factory=list)


@dataclass(slots=True)
class MessageShown:
    """A message as the page shows it. `blocks`: HTML and images in the order of the parts."""

    index: int
    role: str
    name: str | None
    choice_index: int | None
    finish_reason: str | None
    tool_call_id: str | None
    is_output: bool
    blocks: list[Markup | Image]
    summary: str
    calls: list[Call]
    refusal: str | None
    hidden: int
    is_beside_call: bool = False

    @property
    def is_instruction(self) -> bool:
        """Whether it is shown folded, as system and developer messages are."""
        return self.role in ("system", "developer")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that was offered."""

    name: str
    description: str
    definition: Markup


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """What the page of a conversation shows."""

    key: Key
    facts: dict[str, Any]
    messages: list[MessageShown]
    tools: list[Tool]
    response_format: Markup | None
    versions: list[Version]
    earlier: list[Turn]
    later: list[Turn]
    more_messages: bool


def conversation_page(session: Session, key: Key) -> ConversationPage | None:
    """Make the page of a completion; None if the lake has none of this name and day."""
    found = session.rows(_COMPLETION, key.parameters)
    if not found:
        return None
    facts = found[0]
    rendering = Rendering()
    rows = session.rows(_MESSAGES.format(shown=_SHOWN + 1, most=MOST_MESSAGES + 1), key.parameters)
    parts = _parts(session, key)
    messages = [
        _shown(row, parts.get(row["message_index"], []), rendering) for row in rows[:MOST_MESSAGES]
    ]
    _put_beside(messages)
    earlier, later = turns_around(session, key.source, key.day, key.completion_id)
    return ConversationPage(
        key=key,
        facts=facts,
        messages=messages,
        tools=list(_tools(facts["tools"], rendering)),
        response_format=_json_block(facts["response_format"], rendering),
        versions=versions_of(session, key.completion_id, key.source, key.day),
        earlier=earlier,
        later=later,
        more_messages=len(rows) > MOST_MESSAGES,
    )


def _parts(session: Session, key: Key) -> dict[int, list[dict[str, Any]]]:
    sql = _PARTS.format(shown=_SHOWN + 1, part=_PART_SHOWN + 1)
    found: dict[int, list[dict[str, Any]]] = {}
    for row in session.rows(sql, key.parameters):
        found.setdefault(row["message_index"], []).append(row)
    return found


def _shown(
    row: dict[str, Any], parts: Sequence[dict[str, Any]], rendering: Rendering
) -> MessageShown:
    text: str = row["text"] or ""
    is_result = row["role"] == "tool"
    only_text = all(part["type"] == "text" for part in parts)
    if only_text:
        blocks: list[Markup | Image] = list(_text_blocks(text, rendering, is_result=is_result))
    else:
        blocks = [block for part in parts for block in _part_blocks(part, rendering)]
    lines = visible(text[:400]).split("\n", 1)
    return MessageShown(
        index=row["message_index"],
        role=row["role"] or "unknown",
        name=row["name"],
        choice_index=row["choice_index"],
        finish_reason=row["finish_reason"],
        tool_call_id=row["tool_call_id"],
        is_output=row["direction"] == "output",
        blocks=blocks,
        summary=lines[0][:160],
        calls=list(_calls(row, rendering)),
        refusal=row["refusal"],
        hidden=max(0, (row["characters"] or 0) - _SHOWN),
    )


def _text_blocks(text: str, rendering: Rendering, *, is_result: bool) -> Iterator[Markup | Image]:
    if not text:
        return
    if len(text) > _SHOWN:
        yield plain(visible(text[:_SHOWN]))
    elif text.lstrip()[:1] in ("{", "[") and (pretty := pretty_json(text)) is not None:
        yield rendering.code(pretty, "json")
    elif is_result:
        yield plain(visible(text))
    else:
        yield rendering.markdown(text)


def _part_blocks(part: dict[str, Any], rendering: Rendering) -> Iterator[Markup | Image]:
    if part["type"] == "text" and part["text"] is not None:
        yield from _text_blocks(part["text"], rendering, is_result=False)
    elif part["image_sha256"] is not None or part["image_url"] is not None:
        yield Image(
            part["image_sha256"],
            part["media_type"],
            part["image_bytes"],
            part["image_detail"],
            part["image_url"],
        )
    else:
        raw = part["raw"] or ""
        label = Markup('<p class="part-type">Part of type {}</p>').format(part["type"] or "–")
        more = "\n…" if len(raw) > _PART_SHOWN else ""
        yield label + plain(visible(raw[:_PART_SHOWN] + more))


def _calls(row: dict[str, Any], rendering: Rendering) -> Iterator[Call]:
    """Yield the calls of a message; one with an undocumented shape is shown unchanged."""
    text = row["tool_calls"]
    if text is None:
        return
    try:
        calls = json.loads(text)
    except (ValueError, RecursionError):
        calls = None
    if not isinstance(calls, list):
        yield Call("", "", "tool calls", rendering.code(text, "json"), is_valid=True)
        return
    invalid = row["invalid_argument_calls"] or ()
    for position, call in enumerate(calls):
        inner: Any = {}
        if isinstance(call, dict):
            inner = call.get("function") or call.get("custom") or {}
        inner = inner if isinstance(inner, dict) else {}
        given = inner.get("arguments", inner.get("input"))
        given = given if isinstance(given, str) else json.dumps(call, ensure_ascii=False)
        is_valid = position not in invalid
        pretty = pretty_json(given) if is_valid and len(given) <= _SHOWN else None
        yield Call(
            id=str(call.get("id") or "") if isinstance(call, dict) else "",
            kind=str(call.get("type") or "") if isinstance(call, dict) else "",
            name=str(inner.get("name") or "(no name)"),
            arguments=plain(visible(given[:_SHOWN]))
            if pretty is None
            else rendering.code(pretty, "json"),
            is_valid=is_valid or "custom" in (call if isinstance(call, dict) else {}),
        )


def _put_beside(messages: Sequence[MessageShown]) -> None:
    """Put each result with the call that it answers: the last earlier call with that id."""
    calls: dict[str, Call] = {}
    for message in messages:
        calls |= {call.id: call for call in message.calls if call.id}
        call = calls.get(message.tool_call_id or "")
        if call is not None and message.role == "tool":
            call.results.append(message)
            message.is_beside_call = True


def _tools(text: str | None, rendering: Rendering) -> Iterator[Tool]:
    if text is None:
        return
    try:
        tools = json.loads(text)
    except (ValueError, RecursionError):
        tools = None
    if not isinstance(tools, list):
        yield Tool("tools", "", rendering.code(text[:_SHOWN], "json"))
        return
    for tool in tools[:200]:
        inner = tool.get("function") or tool.get("custom") if isinstance(tool, dict) else None
        inner = inner if isinstance(inner, dict) else {}
        definition = json.dumps(inner.get("parameters", tool), indent=2, ensure_ascii=False)
        yield Tool(
            name=str(inner.get("name") or "(no name)"),
            description=str(inner.get("description") or ""),
            definition=rendering.code(definition, "json"),
        )


def _json_block(text: str | None, rendering: Rendering) -> Markup | None:
    if text is None or text == "null":
        return None
    return rendering.code(pretty_json(text) or text, "json")
