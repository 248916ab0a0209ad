"""One conversation: its completion, its messages in order, tool calls with their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from markupsafe import Markup

from chatlake.web.browse.catalogue import Session
from chatlake.web.browse.message import (
    CALLS_SHOWN,
    LINK_SHOWN,
    NOTHING_CUT,
    PART_SHOWN,
    SHOWN,
    CutParts,
    MessageShown,
    message_shown,
    put_beside,
)
from chatlake.web.browse.turns import Turn, turns_around
from chatlake.web.browse.versions import Version, versions_of
from chatlake.web.rendering import Rendering
from chatlake.web.shown import pretty_json, shortened

MOST_MESSAGES: Final = 1_000
MOST_PARTS: Final = 5_000
_MOST_TOOLS: Final = 200
_MOST_OF_TOOLS: Final = 200_000  # characters
_MOST_OF_FORMAT: Final = 50_000
# Without the columns that the view takes out of raw: DuckDB would read other completions' raw too.
COMPLETION: Final = f"""
SELECT * EXCLUDE (raw, raw_exact, moderation, tools, response_format, metadata, created_at,
        first_seen_at, synced_at, deleted_at, cache_write_tokens, prompt_text_tokens,
        prompt_image_tokens, completion_text_tokens, completion_image_tokens),
    map_entries(metadata) AS metadata, left(tools::VARCHAR, {_MOST_OF_TOOLS + 1}) AS tools,
    left(response_format::VARCHAR, {_MOST_OF_FORMAT + 1}) AS response_format,
    epoch_us(created_at) AS created_us, epoch_us(first_seen_at) AS first_seen_us,
    epoch_us(synced_at) AS synced_us, epoch_us(deleted_at) AS deleted_us
FROM completions
WHERE created_date = $day AND source = $source AND completion_id = $id
"""  # noqa: S608 - of constants
_MESSAGES: Final = """
SELECT message_index, direction, choice_index, role, name, left(text, {shown}) AS text,
    length(text) AS characters, left(refusal, {shown}) AS refusal, tool_call_id,
    left(tool_calls::VARCHAR, {calls}) AS tool_calls, finish_reason, invalid_argument_calls,
    part_count
FROM messages
WHERE created_date = $day AND source = $source AND completion_id = $id
ORDER BY message_index
LIMIT {most}
"""
_OF_PARTS: Final = """
FROM content_parts
WHERE created_date = $day AND source = $source AND completion_id = $id AND message_index <= $last
    AND (part_source = 'content_parts' OR type IS DISTINCT FROM 'text')
ORDER BY message_index, part_index
"""
_PARTS: Final = f"""
SELECT message_index, type, left(text, {{shown}}) AS text, length(text) AS characters,
    left(image_url, {LINK_SHOWN + 1}) AS image_url, image_detail, image_sha256, media_type,
    image_bytes, left(raw::VARCHAR, {{part}}) AS raw
{_OF_PARTS}
LIMIT {{most}}
"""
_CUT_PARTS: Final = f"""
SELECT message_index, count(*), count(*) FILTER (WHERE type IS DISTINCT FROM 'text')
FROM (SELECT message_index, type {_OF_PARTS} OFFSET {{most}})
GROUP BY message_index
"""  # noqa: S608 - of constants


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
class Tool:
    """A tool that was offered."""

    name: str
    description: str
    definition: Markup


@dataclass(frozen=True, slots=True)
class OldVersion:
    """Says that the page shows version `number` of `count`, seen from `observed_us` to `until_us`.

    `replaced`: how many of its messages later versions no longer have; `unshown`: how many of
    those the page does not show.
    """

    number: int
    count: int
    observed_us: int
    until_us: int
    replaced: int
    unshown: int


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """What the page of a conversation shows; `old` is set if it is an earlier version.

    `older_versions`: how many versions before `versions` there are. `hidden_parts`, `more_tools`:
    how many parts and offered tools are not shown.
    """

    key: Key
    facts: dict[str, Any]
    messages: list[MessageShown]
    tools: list[Tool]
    response_format: Markup | None
    versions: list[Version]
    older_versions: int
    earlier: list[Turn]
    later: list[Turn]
    more_messages: bool
    hidden_parts: int
    more_tools: int
    old: OldVersion | None = None


def conversation_page(session: Session, key: Key) -> ConversationPage | None:
    """Make the page of a completion; None if the lake has none of this name and day."""
    with session.beside(lambda other: _said(other, key)) as said:
        found = session.rows(COMPLETION, key.parameters)
        if not found:
            return None
        facts = found[0]
        earlier, later = turns_around(session, key.source, key.day, key.completion_id)
        versions, older = versions_of(session, key.parameters, facts)
        rows, parts, cut = said.result()
    page = page_of(key, facts, rows[:MOST_MESSAGES], parts, cut)
    return replace(
        page,
        versions=versions,
        older_versions=older,
        earlier=earlier,
        later=later,
        more_messages=len(rows) > MOST_MESSAGES,
    )


def page_of(
    key: Key,
    facts: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    parts: Mapping[int, Sequence[dict[str, Any]]],
    cut: Mapping[int, CutParts] = MappingProxyType({}),
) -> ConversationPage:
    """Make the page of a completion's row and those of its messages and parts, without turns."""
    rendering = Rendering()
    messages = [
        message_shown(
            row,
            parts.get(row["message_index"], []),
            rendering,
            cut.get(row["message_index"], NOTHING_CUT),
        )
        for row in rows
    ]
    put_beside(messages)
    tools = list(_tools(facts["tools"], rendering))
    return ConversationPage(
        key=key,
        facts=facts,
        messages=messages,
        tools=tools[:_MOST_TOOLS],
        more_tools=len(tools[_MOST_TOOLS:]),
        response_format=_json_block(facts["response_format"], rendering),
        versions=[],
        older_versions=0,
        earlier=[],
        later=[],
        more_messages=False,
        hidden_parts=sum(message.hidden_parts for message in messages),
    )


def _said(
    session: Session, key: Key
) -> tuple[list[dict[str, Any]], dict[int, list[dict[str, Any]]], dict[int, CutParts]]:
    """Return the rows of a completion's messages and, by their index, those of their parts.

    The last value counts the parts that are not among them, by the index too.
    """
    sql = _MESSAGES.format(shown=SHOWN + 1, calls=CALLS_SHOWN + 1, most=MOST_MESSAGES + 1)
    rows = session.rows(sql, key.parameters)
    if not any(map(_has_parts, rows)):
        return rows, {}, {}
    last = rows[:MOST_MESSAGES][-1]["message_index"]
    parts, cut = _parts(session, {**key.parameters, "last": last})
    return rows, parts, cut


def _has_parts(row: dict[str, Any]) -> bool:
    """Say whether a message is more than its text: one part with a text is a text."""
    return row["part_count"] != 1 or not row["text"]


def _parts(
    session: Session, parameters: dict[str, Any]
) -> tuple[dict[int, list[dict[str, Any]]], dict[int, CutParts]]:
    sql = _PARTS.format(shown=SHOWN + 1, part=PART_SHOWN + 1, most=MOST_PARTS + 1)
    rows = session.rows(sql, parameters)
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows[:MOST_PARTS]:
        found.setdefault(row["message_index"], []).append(row)
    if len(rows) <= MOST_PARTS:
        return found, {}
    cut = session.ask(_CUT_PARTS.format(most=MOST_PARTS), parameters)
    return found, {index: CutParts(count, others) for index, count, others in cut}


def _tools(text: str | None, rendering: Rendering) -> Iterator[Tool]:
    if text is None:
        return
    try:
        tools = json.loads(text)
    except (ValueError, RecursionError):
        tools = None
    if not isinstance(tools, list):
        yield Tool("tools", "", rendering.code(shortened(text, SHOWN), "json"))
        return
    for tool in tools:
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
    return rendering.code(pretty_json(text) or shortened(text, _MOST_OF_FORMAT), "json")
