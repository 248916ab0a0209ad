"""Tools, tool calls and their answers, as a request must have them."""

from __future__ import annotations

import re
from typing import Any, Final

from chatlake.exports.report import SkippedError, as_line
from chatlake.exports.stored import Json, as_list, as_object
from chatlake.model.values import is_strict_json

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FUNCTION_KEYS: Final = ("name", "description", "parameters", "strict")
_KINDS: Final = {"description": str, "parameters": dict, "strict": bool}


def tools_of(sent: object) -> list[Json]:
    """Return the offered tools, rebuilt. SkippedError for tools that are not functions."""
    return [_tool(as_object(tool)) for tool in as_list(sent)]


def _tool(sent: Json) -> Json:
    if sent.get("type") == "custom":
        raise SkippedError("custom_tool")
    function = as_object(sent.get("function"))
    if sent.get("type") != "function" or not _is_name(function.get("name")):
        raise SkippedError("invalid_tool")
    rebuilt = {key: function[key] for key in _FUNCTION_KEYS if function.get(key) is not None}
    if any(not isinstance(rebuilt[key], kind) for key, kind in _KINDS.items() if key in rebuilt):
        raise SkippedError("invalid_tool")
    try:
        as_line(rebuilt)
    except (ValueError, RecursionError):
        raise SkippedError("invalid_tool") from None
    return {"type": "function", "function": rebuilt}


def calls_of(message: Json) -> list[Json]:
    """Return the tool calls of a message, rebuilt: `{id, type, function: {name, arguments}}`.

    SkippedError for custom tools, and for arguments that are not valid JSON.
    """
    if message.get("function_call"):
        raise SkippedError("function_call")
    calls = [_call(as_object(call)) for call in as_list(message.get("tool_calls"))]
    if len({call["id"] for call in calls}) < len(calls):
        raise SkippedError("invalid_tool_call")
    return calls


def _call(sent: Json) -> Json:
    if sent.get("type") == "custom":
        raise SkippedError("custom_tool")
    function = as_object(sent.get("function"))
    call_id, name, arguments = sent.get("id"), function.get("name"), function.get("arguments")
    if sent.get("type") != "function" or not call_id or not isinstance(call_id, str):
        raise SkippedError("invalid_tool_call")
    if not _is_name(name):
        raise SkippedError("invalid_tool_call")
    if not isinstance(arguments, str) or not is_strict_json(arguments):
        raise SkippedError("invalid_arguments")
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def require_answers(messages: list[Json]) -> None:
    """Raise SkippedError unless each call is answered once before the next other message.

    `messages` end with the reply, whose calls have no results yet.
    """
    open_calls: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                raise SkippedError("tool_answer_without_call")
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            raise SkippedError("tool_call_unanswered")
        open_calls = {call["id"] for call in message.get("tool_calls", ())}
