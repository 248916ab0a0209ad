"""What the model answered to completion i: its `choices` array, as bytes of JSON."""

from __future__ import annotations

from dataclasses import dataclass

from chatlake.simulator import task_phrases
from chatlake.simulator.scripts import compiled
from chatlake.simulator.talk import Talk, tool_of

_CHOICE = (
    b'{"index":%d,"message":{"content":%b,"role":"assistant","tool_calls":%b,"function_call":null},'
    b'"finish_reason":"%b","logprobs":%b}'
)
_FUNCTION_CALL = b'{"type":"function","function":{"name":"%b","arguments":"%b"},"id":"call_%b"}'
_CUSTOM_CALL = b'{"type":"custom","custom":{"name":"run_sql","input":"%b"},"id":"call_%b"}'
_LOGPROBS = (
    b'{"content":[{"token":"The","logprob":-0.0125,"bytes":[84,104,101],"top_logprobs":[]}],'
    b'"refusal":null}'
)
_BROKEN = compiled(task_phrases.BROKEN_ARGUMENTS)
_CUSTOM_INPUT = compiled(task_phrases.CUSTOM_INPUT)


@dataclass(frozen=True, slots=True)
class WrittenReply:
    """`choices` as JSON, the first choice's `content` as JSON, and which tools were offered."""

    choices: bytes
    content: bytes
    tools: str


def reply(talk: Talk) -> WrittenReply:
    """The reply to the last turn of `talk`: text, tool calls, a refusal, or a cut text."""
    roll = talk.roll
    if talk.calls_tool and talk.count:
        return _tool_reply(talk)
    text = talk.fill(talk.turn(talk.turns - 1)[1], talk.turns - 1)
    if talk.with_image and talk.count:
        pairs = talk.script.pictures
        text = talk.fill(pairs[roll[12] % len(pairs)][1], talk.turns - 1)
    reason = b"stop"
    if roll[60] < 6:
        text, reason = talk.fill(talk.script.cut, talk.turns - 1), b"length"
    elif roll[60] < 8:
        text, reason = b"", b"content_filter"
    if talk.odd_text and roll[22] < 10:
        text = task_phrases.ODD_TEXTS[roll[23] % len(task_phrases.ODD_TEXTS)]
    logprobs = _LOGPROBS if roll[61] == 255 else b"null"
    content = b'"%b"' % text
    choices = _CHOICE % (0, content, b"null", reason, logprobs)
    if roll[61] < 4:
        others = (
            _CHOICE % (index, b'"%b (%d)"' % (text, index + 1), b"null", b"stop", b"null")
            for index in range(1, 2 + roll[61] % 3)
        )
        choices = b",".join((choices, *others))
    tools = "functions" if talk.kind == "tools" else ""
    return WrittenReply(choices, content, tools)


def _tool_reply(talk: Talk) -> WrittenReply:
    roll = talk.roll
    turn = talk.turns - 1
    call_id = roll[20:32].hex().encode()
    if roll[60] < 16:
        calls = _CUSTOM_CALL % (talk.fill(_CUSTOM_INPUT, turn), call_id)
        return WrittenReply(_choice_of(calls), b"null", "custom")
    name, arguments, _ = tool_of(talk, turn)
    if roll[60] >= 246:
        name, arguments = b"lookup_order", _BROKEN
    calls = _FUNCTION_CALL % (name, talk.fill(arguments, turn), call_id)
    if roll[60] & 15 == 0:
        second, template, _ = tool_of(talk, turn + 1)
        calls += b"," + _FUNCTION_CALL % (second, talk.fill(template, turn), call_id[::-1])
    return WrittenReply(_choice_of(calls), b"null", "functions")


def _choice_of(calls: bytes) -> bytes:
    return _CHOICE % (0, b"null", b"[%b]" % calls, b"tool_calls", b"null")
