"""One message as the page of a conversation shows it, with its tool calls and their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from chatlake.web.rendering import MOST_CHARACTERS, Rendering, plain
from chatlake.web.shown import pretty_json, shortened, visible

SHOWN: Final = MOST_CHARACTERS
"""Characters of a text that are shown."""

PART_SHOWN: Final = 2_000
"""Characters of a part of an unknown type that are shown."""

LINK_SHOWN: Final = 2_000
"""Characters of the address of a linked image that are shown."""

CALLS_SHOWN: Final = 500_000
"""Characters of a message's tool calls, as JSON, that are read."""


@dataclass(frozen=True, slots=True)
class CutParts:
    """How many parts of a message the page does not read, and how many of them are not texts."""

    count: int
    others: int


NOTHING_CUT: Final = CutParts(0, 0)


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
    """A message as the page shows it.

    `blocks`: HTML and images in the order of the parts. `summary`: the beginning of the text, for a
    folded message. `hidden`, `hidden_parts`: how many characters of its texts and how many of its
    parts are not shown. `is_beside_call`: it is shown with the call that it answers. `is_replaced`:
    later versions no longer have it.
    """

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
    hidden_parts: int
    is_beside_call: bool = False
    is_replaced: bool = False

    @property
    def is_instruction(self) -> bool:
        """Whether it is shown folded, as system and developer messages are."""
        return self.role in ("system", "developer")


def message_shown(
    row: dict[str, Any],
    parts: Sequence[dict[str, Any]],
    rendering: Rendering,
    cut: CutParts = NOTHING_CUT,
) -> MessageShown:
    """Return what the page shows of a row of `messages` and its rows of `content_parts`."""
    text: str = row["text"] or ""
    is_result = row["role"] == "tool"
    only_text = all(part["type"] == "text" for part in parts)
    if only_text:
        blocks: list[Markup | Image] = list(_text_blocks(text, rendering, is_result=is_result))
        hidden = max(0, (row["characters"] or 0) - SHOWN)
    else:
        texts = [part for part in parts if part["type"] == "text" and part["text"] is not None]
        hidden = sum(max(0, part["characters"] - SHOWN) for part in texts)
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
        refusal=row["refusal"] and shortened(row["refusal"], SHOWN),
        hidden=hidden,
        # `text` has the texts of all parts.
        hidden_parts=cut.others if only_text else cut.count,
    )


def _text_blocks(text: str, rendering: Rendering, *, is_result: bool) -> Iterator[Markup | Image]:
    if not text:
        return
    if len(text) > SHOWN:
        yield plain(visible(text[:SHOWN]))
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
            part["image_url"] and shortened(part["image_url"], LINK_SHOWN),
        )
    else:
        raw = part["raw"] or ""
        label = Markup('<p class="part-type">Part of type {}</p>').format(part["type"] or "–")
        yield label + plain(visible(shortened(raw, PART_SHOWN)))


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
        shown = shortened(text, CALLS_SHOWN)
        yield Call("", "", "tool calls", rendering.code(shown, "json"), is_valid=True)
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
        pretty = pretty_json(given) if is_valid and len(given) <= SHOWN else None
        yield Call(
            id=str(call.get("id") or "") if isinstance(call, dict) else "",
            kind=str(call.get("type") or "") if isinstance(call, dict) else "",
            name=str(inner.get("name") or "(no name)"),
            arguments=plain(visible(shortened(given, SHOWN)))
            if pretty is None
            else rendering.code(pretty, "json"),
            is_valid=is_valid or "custom" in (call if isinstance(call, dict) else {}),
        )


def put_beside(messages: Sequence[MessageShown]) -> None:
    """Put each result with the call that it answers: the last earlier call with that id."""
    calls: dict[str, Call] = {}
    for message in messages:
        calls |= {call.id: call for call in message.calls if call.id}
        call = calls.get(message.tool_call_id or "")
        if call is not None and message.role == "tool":
            call.results.append(message)
            message.is_beside_call = True
