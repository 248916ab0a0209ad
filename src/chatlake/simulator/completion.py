"""Completion i as the API stores it: the keys and their order are those of recorded traffic."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from chatlake.simulator import task_phrases
from chatlake.simulator.reply import reply
from chatlake.simulator.scenario import Created
from chatlake.simulator.talk import KINDS, Talk

_COMPLETION = (
    b'{"object":"chat.completion","id":"%b","model":"%b",%b"request_id":"req_%b",'
    b'"tool_choice":%b,"usage":{"total_tokens":%d,"completion_tokens":%d,"prompt_tokens":%d%b},'
    b'"seed":%d,"top_p":%b,"temperature":%b,"presence_penalty":%b,"frequency_penalty":%b,'
    b'"system_fingerprint":%b,"input_user":%b,"service_tier":%b,"tools":%b,"metadata":%b,'
    b'"choices":[%b],"response_format":%b}'
)
_DETAILS = (
    b',"prompt_tokens_details":{"cached_tokens":%d,"audio_tokens":0},"completion_tokens_details":'
    b'{"reasoning_tokens":%d,"audio_tokens":0,"accepted_prediction_tokens":0,'
    b'"rejected_prediction_tokens":0}'
)

_MODELS = (
    b"gpt-4o-mini-2024-07-18",
    b"gpt-4o-mini-2024-07-18",
    b"gpt-4o-mini-2024-07-18",
    b"gpt-4.1-2025-04-14",
    b"gpt-4.1-2025-04-14",
    b"gpt-4.1-mini-2025-04-14",
    b"o4-mini-2025-04-16",
    b"gpt-5-mini-2025-08-07",
)
_REASONING = (b"o4-mini-2025-04-16", b"gpt-5-mini-2025-08-07")
_FINGERPRINTS = {
    b"gpt-4o-mini-2024-07-18": b'"fp_560af6e559"',
    b"gpt-4.1-2025-04-14": b'"fp_51db84afab"',
    b"gpt-4.1-mini-2025-04-14": b'"fp_b83a7d52ea"',
}
_TEMPERATURES = (b"1.0", b"1.0", b"1.0", b"0.7", b"0.2", b"0.0", b"1.0", b"1.25")
_TIERS = (
    *((b'"default"',) * 26),
    b'"flex"',
    b'"flex"',
    b'"priority"',
    b'"scale"',
    b"null",
    b"null",
)
_TEAMS = ("support", "platform", "growth", "research")
_FEATURES = {
    "support": "helpdesk",
    "refusal": "helpdesk",
    "tools": "order-agent",
    "coding": "code-review",
    "extraction": "invoice-reader",
    "translation": "translate",
}
_ENVIRONMENTS = ("production", "production", "production", "staging", "test")
_TOOLS = {
    "": b"null",
    "functions": task_phrases.TOOLS.encode(),
    "custom": task_phrases.CUSTOM_TOOLS.encode(),
}
_FORMAT = task_phrases.EXTRACTION_FORMAT.encode()


def model_of(roll: bytes) -> bytes:
    """The model's name; cheap, for filters."""
    return _MODELS[roll[49] & 7]


def metadata_of(roll: bytes) -> dict[str, str]:
    """The metadata pairs: none for about a third of the completions; cheap, for filters."""
    shape = roll[51]
    if shape < 80:
        return {}
    pairs = {"team": _TEAMS[roll[52] & 3], "feature": _FEATURES[KINDS[roll[45]]]}
    if shape >= 120:
        pairs["environment"] = _ENVIRONMENTS[roll[53] % 5]
    if shape >= 160:
        pairs["customer"] = f"c-{(roll[54] << 8 | roll[55]) % 500:04d}"
    if shape >= 244:
        pairs["note"] = "Größe M · 日本 🚀"
    return pairs


def created_member(seconds: int, form: Created) -> bytes:
    """The member `created` and the comma after it; `seconds`: UTC."""
    match form:
        case "milliseconds":
            value = b"%d000" % seconds
        case "float":
            value = b"%d.5" % seconds
        case "text":
            value = b'"%d"' % seconds
        case "iso":
            value = datetime.fromtimestamp(seconds, UTC).strftime('"%Y-%m-%dT%H:%M:%SZ"').encode()
        case "missing":
            return b""
        case _:
            value = b"%d" % seconds
    return b'"created":%b,' % value


def completion(talk: Talk, *, created: bytes, metadata: bytes) -> bytes:
    """The stored completion: `created` as `created_member` writes it, `metadata` as JSON."""
    roll = talk.roll
    answer = reply(talk)
    model = model_of(roll)
    reasoning = model in _REASONING
    produced = len(answer.choices) // 5
    asked = 9 + 31 * talk.count + roll[20] + (765 if talk.with_image else 0) if talk.count else 0
    details = b""
    if roll[59] & 7 == 0 or (reasoning and roll[59] & 1):
        thought = 64 * (roll[21] & 7) if reasoning else 0
        produced += thought
        details = _DETAILS % (asked // 128 * 64, thought)
    tools = _TOOLS[answer.tools]
    return _COMPLETION % (
        talk.completion_id,
        model,
        created,
        roll[21:37].hex().encode(),
        b'"auto"' if answer.tools and roll[63] & 2 else b"null",
        asked + produced,
        produced,
        asked,
        details,
        struct.unpack_from("<q", roll, 37)[0],
        b"0.9" if roll[58] & 31 == 7 else b"1.0",
        _TEMPERATURES[roll[58] & 7],
        b"0.5" if roll[58] >= 250 else b"0.0",
        b"-0.25" if roll[58] >= 252 else b"0.0",
        _FINGERPRINTS.get(model, b"null"),
        b'"user-%d"' % roll[55] if roll[59] >= 244 else b"null",
        _TIERS[roll[59] & 31],
        tools,
        metadata,
        answer.choices,
        _FORMAT if talk.kind == "extraction" and roll[63] & 3 else b"null",
    )
