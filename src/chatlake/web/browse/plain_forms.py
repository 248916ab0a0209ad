"""A conversation in other formats: Markdown, the API's own JSON, one message's full text."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from chatlake.web.browse.catalogue import Session
from chatlake.web.browse.conversation import Key
from chatlake.web.shown import time_of

_RAW: Final = """
SELECT coalesce(raw_exact, raw::VARCHAR) FROM completions
WHERE created_date = $day AND source = $source AND completion_id = $id
"""
_RAW_MESSAGES: Final = """
SELECT CASE direction WHEN 'input' THEN coalesce(raw_exact, raw::VARCHAR) ELSE echo_raw END
FROM messages
WHERE created_date = $day AND source = $source AND completion_id = $id
ORDER BY message_index
"""
_HEAD: Final = """
SELECT epoch_us(created_at), model FROM completions
WHERE created_date = $day AND source = $source AND completion_id = $id
"""
_TEXTS: Final = """
SELECT role, name, text, refusal, tool_calls::VARCHAR, tool_call_id, choice_index
FROM messages
WHERE created_date = $day AND source = $source AND completion_id = $id
ORDER BY message_index
"""
_TEXT: Final = """
SELECT coalesce(text, refusal, '') FROM messages
WHERE created_date = $day AND source = $source AND completion_id = $id AND message_index = $index
"""


def as_json(session: Session, key: Key) -> str | None:
    """Return the completion and its messages as the API sent them; None if there is none.

    It is `{"completion": …, "messages": […]}`, like a line of `chatlake export raw`, with
    references in place of embedded images.
    """
    found = session.ask(_RAW, key.parameters)
    if not found:
        return None
    messages = [raw for (raw,) in session.ask(_RAW_MESSAGES, key.parameters) if raw is not None]
    return f'{{"completion": {found[0][0]}, "messages": [{", ".join(messages)}]}}\n'


def as_pretty_json(session: Session, key: Key) -> str | None:
    """Return what `as_json` returns, on several lines."""
    text = as_json(session, key)
    if text is None:
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_markdown(session: Session, key: Key) -> str | None:
    """Return the conversation as Markdown, a heading for each message; None if there is none."""
    found = session.ask(_HEAD, key.parameters)
    if not found:
        return None
    created_us, model = found[0]
    facts = {"source": key.source, "completion_id": key.completion_id,
             "created_at": f"{time_of(created_us)} UTC", "model": model}  # fmt: skip
    lines = ["---", *(f"{name}: {json.dumps(value)}" for name, value in facts.items()), "---", ""]
    for role, name, text, refusal, calls, call_id, choice in session.ask(_TEXTS, key.parameters):
        heading = " ".join(filter(None, (role or "unknown", name)))
        about = [f"choice {choice}"] if choice else []
        about += [f"answers {call_id}"] if call_id else []
        more = f" ({', '.join(about)})" if about else ""
        lines += [f"## {heading}{more}", ""]
        lines += [text, ""] if text else []
        lines += [f"Refusal: {refusal}", ""] if refusal else []
        if calls:
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", calls) or [""]))
            lines += [f"{fence}json", calls, fence, ""]
    return "\n".join(lines)


def whole_text(session: Session, key: Key, index: int) -> str | None:
    """Return all of one message's text; None if there is no such message."""
    found = session.ask(_TEXT, {**key.parameters, "index": index})
    return str(found[0][0]) if found else None
