"""A strict reader of fine-tuning files: the documented format, and nothing else.

It shares no code with the exporter. `problems` returns a sentence for each rule that a line breaks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

KEYS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "weight"},
    "tool": {"role", "content", "tool_call_id"},
}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
DATA_URL = re.compile(r"data:image/(jpeg|png|webp);base64,([A-Za-z0-9+/]+={0,2})")
STARTS = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "webp": b"RIFF"}


def problems(line: bytes, *, max_images: int = 10) -> list[str]:
    """Return what is wrong with a line, its line break included."""
    if not line.endswith(b"\n") or b"\r" in line:
        return ["the line does not end in LF alone"]
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except ValueError as error:
        return [f"no JSON in UTF-8: {error}"]
    return list(_line(value, max_images))


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _line(value: Any, max_images: int) -> Iterator[str]:
    if not isinstance(value, dict) or not {"messages"} <= set(value) <= {"messages", "tools"}:
        yield "a line is an object with messages, and tools if any"
        return
    messages = value["messages"]
    if not isinstance(messages, list) or len(messages) < 2:
        yield "messages are an input at least, and a reply"
        return
    if any(key is None for key in _values(value)):
        yield "a key is null"
    for message in messages:
        yield from _message(message)
    if messages[-1]["role"] != "assistant" or messages[-1].get("weight", 1) != 1:
        yield "the last message is no reply to train on"
    yield from _answers(messages)
    images = [part for message in messages for part in _parts(message, "image_url")]
    if len(images) > max_images:
        yield f"{len(images)} images"
    if "tools" in value:
        yield from _tools(value["tools"])


def _values(value: Any) -> Iterator[Any]:
    """Yield every value of an object, but those within a tool's parameters."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "parameters":
                yield inner
                yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)


def _parts(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    content = message.get("content")
    return [p for p in content if p["type"] == kind] if isinstance(content, list) else []


def _message(message: dict[str, Any]) -> Iterator[str]:
    role = message.get("role")
    if role not in KEYS:
        yield f"role {role!r}"
        return
    if unknown := set(message) - KEYS[role]:
        yield f"{role} has {sorted(unknown)}"
    if "name" in message and not NAME.fullmatch(message["name"]):
        yield f"name {message['name']!r}"
    if message.get("weight", 1) not in (0, 1):
        yield f"weight {message['weight']!r}"
    if "content" not in message and not (role == "assistant" and message.get("tool_calls")):
        yield f"{role} without content"
    yield from _content(role, message.get("content", ""))
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        yield "an answer without its call's id"
    if "tool_calls" in message:
        yield from _calls(message["tool_calls"])


def _content(role: str, content: Any) -> Iterator[str]:
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        yield f"content is {type(content).__name__}"
        return
    for part in content:
        if part.get("type") == "text":
            if set(part) != {"type", "text"} or not isinstance(part["text"], str):
                yield f"text part {sorted(part)}"
        elif part.get("type") == "image_url" and role == "user":
            yield from _image(part)
        else:
            yield f"part {part.get('type')!r} of {role}"


def _image(part: dict[str, Any]) -> Iterator[str]:
    image = part.get("image_url", {})
    if set(part) != {"type", "image_url"} or not {"url"} <= set(image) <= {"url", "detail"}:
        yield f"image part {part}"
        return
    if image.get("detail", "auto") not in {"auto", "low", "high"}:
        yield f"detail {image['detail']!r}"
    if image["url"].startswith(("https://", "http://")):
        return
    found = DATA_URL.fullmatch(image["url"])
    if found is None:
        yield f"image URL {image['url'][:40]!r}"
        return
    data = base64.b64decode(found[2], validate=True)
    if not data.startswith(STARTS[found[1]]) or len(data) > 10 * 1024 * 1024:
        yield f"{found[1]} of {len(data)} bytes that is none"


def _calls(calls: Any) -> Iterator[str]:
    if not isinstance(calls, list) or not calls:
        yield "tool_calls is empty"
        return
    for call in calls:
        if set(call) != {"id", "type", "function"} or call["type"] != "function":
            yield f"call {sorted(call)}"
        elif set(call["function"]) != {"name", "arguments"}:
            yield f"function {sorted(call['function'])}"
        else:
            try:
                json.loads(call["function"]["arguments"], parse_constant=_no_constant)
            except (TypeError, ValueError):
                yield "arguments are no text of JSON"
            if not NAME.fullmatch(call["function"]["name"]):
                yield f"function {call['function']['name']!r}"


def _answers(messages: list[dict[str, Any]]) -> Iterator[str]:
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                yield "an answer to no open call"
            else:
                waiting.remove(message["tool_call_id"])
        elif waiting:
            yield f"calls {waiting} are not answered"
            waiting = []
        if message["role"] == "assistant":
            waiting = [call["id"] for call in message.get("tool_calls", ())]
            if len(set(waiting)) < len(waiting):
                yield "two calls with one id"


def _tools(tools: Any) -> Iterator[str]:
    if not isinstance(tools, list) or not tools:
        yield "tools is empty"
        return
    for tool in tools:
        function = tool.get("function", {})
        known = {"name", "description", "parameters", "strict"}
        if set(tool) != {"type", "function"} or tool["type"] != "function":
            yield f"tool {sorted(tool)}"
        elif not {"name"} <= set(function) <= known or not NAME.fullmatch(function["name"]):
            yield f"function {sorted(function)}"
