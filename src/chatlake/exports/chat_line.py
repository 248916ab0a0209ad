"""One line of a fine-tuning file, as OpenAI documents it: `messages`, and `tools` if any.

Pure: takes a stored completion and returns a line, or raises SkippedError with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from chatlake.exports.calls_repair import CallsRepair
from chatlake.exports.chat_content import ImageRules, content_of, images_in, plain_text
from chatlake.exports.chat_tools import NAME, calls_of, require_answers, tools_of
from chatlake.exports.report import SkippedError
from chatlake.exports.stored import Json, Stored, as_list, as_object

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
KEEPABLE: Final = ("length", "content_filter", "refusal", "empty")
"""The values of `--keep`: replies that are left out unless it names them."""


@dataclass(frozen=True, slots=True)
class LineRules:
    """What a line may contain. `keep`: values from `KEEPABLE`; `max_tokens`: by the stored usage.

    `train_all`: earlier replies are trained on too, else they get `"weight": 0`.
    """

    keep: frozenset[str] = frozenset()
    images: ImageRules = field(default_factory=ImageRules)
    train_all: bool = False
    max_tokens: int | None = None


def candidates(stored: Stored, *, all_choices: bool) -> list[Json | None]:
    """Return the choices to make lines from; a single None if there are no choices."""
    found = stored.choices
    return [*found] if all_choices and found else [found[0] if found else None]


def line_of(
    stored: Stored, choice: Json | None, rules: LineRules, repair: CallsRepair | None = None
) -> Json:
    """Return the line of one reply; raises SkippedError with the reason if that is impossible."""
    if stored.problem:
        raise SkippedError(stored.problem)
    if stored.inputs is None:
        raise SkippedError("messages_missing")
    if not stored.inputs:
        raise SkippedError("no_input")
    if choice is None:
        raise SkippedError("no_reply")
    _require_tokens(stored, rules)
    reply = _reply(choice, rules)
    tools = tools_of(stored.completion.get("tools"))
    messages = _inputs(stored, rules, repair)
    require_answers([*messages, reply])
    if sum(images_in(message.get("content")) for message in messages) > rules.images.limit:
        raise SkippedError("too_many_images")
    if not rules.train_all:
        messages = [
            {**message, "weight": 0} if message["role"] == "assistant" else message
            for message in messages
        ]
    line: Json = {"messages": [*messages, reply]}
    if tools:
        line["tools"] = tools
    return line


def _require_tokens(stored: Stored, rules: LineRules) -> None:
    if rules.max_tokens is None:
        return
    total = as_object(stored.completion.get("usage")).get("total_tokens")
    if not isinstance(total, int):
        raise SkippedError("tokens_unknown")
    if total > rules.max_tokens:
        raise SkippedError("too_many_tokens")


def _reply(choice: Json, rules: LineRules) -> Json:
    reason = choice.get("finish_reason")
    for cut in ("length", "content_filter"):
        if reason == cut and cut not in rules.keep:
            raise SkippedError(cut)
    message = as_object(choice.get("message"))
    if message.get("role", "assistant") != "assistant":
        raise SkippedError("unknown_role")
    refusal = message.get("refusal")
    calls = calls_of(message)
    if refusal and isinstance(refusal, str):
        if "refusal" not in rules.keep:
            raise SkippedError("refusal")
        return {"role": "assistant", "content": refusal}
    content = content_of(message, "assistant", rules.images)
    if not calls and not plain_text(content).strip():
        if "empty" not in rules.keep:
            raise SkippedError("empty_reply")
        content = content or ""
    return _message("assistant", content, calls)


def _inputs(stored: Stored, rules: LineRules, repair: CallsRepair | None) -> list[Json]:
    inputs = list(stored.inputs or ())
    if repair is not None:
        inputs = repair.repaired(stored.source, inputs)
    messages = []
    for place, sent in enumerate(inputs):
        role = sent.get("role")
        if role not in ROLES:
            raise SkippedError("unknown_role")
        following = inputs[place + 1].get("role") if place + 1 < len(inputs) else None
        messages.append(_input(sent, str(role), following, rules))
    return messages


def _input(sent: Json, role: str, following: object, rules: LineRules) -> Json:
    content = content_of(sent, role, rules.images)
    if role == "assistant":
        calls = calls_of(sent)
        if not calls and following == "tool":
            raise SkippedError("tool_calls_not_stored")
        is_empty = not calls and not plain_text(content).strip()
        if is_empty and (content is None or "empty" not in rules.keep):
            raise SkippedError("content_missing")
        return _message(role, content, calls, sent.get("name"))
    if content is None:
        raise SkippedError("content_missing")
    if role == "tool":
        call_id = sent.get("tool_call_id")
        if not isinstance(call_id, str) or not call_id:
            raise SkippedError("tool_calls_not_stored")
        return {"role": role, "content": content, "tool_call_id": call_id}
    return _message(role, content, [], sent.get("name"))


def _message(
    role: str, content: str | list[Json] | None, calls: list[Json], name: object = None
) -> Json:
    message: Json = {"role": role}
    if content is not None:
        message["content"] = content
    if isinstance(name, str) and NAME.fullmatch(name):
        message["name"] = name
    if calls:
        message["tool_calls"] = calls
    return message


def first_user_text(line: Json) -> str:
    """Return the text of a line's first user message; of its first message if there is none."""
    messages = as_list(line["messages"])
    users = [message for message in messages if message["role"] == "user"]
    return plain_text((users or messages)[0].get("content"))
