"""Rules of `redact` and durations of `keep` as somebody may write them, and any text under rules."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from chatlake.config import parse_settings
from chatlake.config.durations import LONGEST, format_duration, parse_duration
from chatlake.errors import ConfigurationError, InvalidResponseError
from chatlake.model.objects import read_completion
from chatlake.model.redaction.patterns import READY
from chatlake.model.redaction.rules import Redaction, RuleTexts
from tests.fuzz import corpus

KEY: Final = "k" * 16
SOURCE: Final = {"name": "a", "base_url": "https://example.org/v1", "api_key": "${A}"}
ALL: Final = Redaction(
    RuleTexts(
        drop=["metadata.customer", "messages.name"],
        hash=["input_user", "metadata.team", "tools"],
        patterns=list(READY),
        expressions={"order": "[A-Z]{1,3}-[0-9]{3,6}", "nested": "(a+)+$|(x|xx)*y"},
        drops_images=True,
        key=KEY,
    )
)


def rules() -> tuple[bytes, ...]:
    """Configurations' sections `redact` and `keep`."""
    written: list[dict[str, Any]] = [
        {
            "redact": {
                "drop": ["metadata.email", "messages.tool_calls.function.arguments.*.b"],
                "hash": ["input_user"],
                "hash_key": "${HASH}",
                "patterns": ["email", "phone", "card", "iban", "keys"],
                "expressions": {"employee": "EMP-[0-9]{6}", "nested": "((a{1,9}){1,9}){1,9}b"},
                "images": "drop",
            },
            "keep": "2y",
        },
        {"redact": {"expressions": {"a": r"(?i)\bü\p{Greek}+[^\x00-\x7f]{2,}|(?s:.)x$"}}},
        {"redact": {"patterns": ["card"]}, "keep": "1w2d"},
        {"redact": None, "keep": None},
    ]
    return tuple(json.dumps(each).encode() for each in written)


def rules_of_redaction(text: bytes) -> None:
    """Rules that are accepted can be applied; others give lines that a terminal shows."""
    whole = json.dumps({"version": 1, "lake": "lake", "sources": [SOURCE]}).encode()
    try:
        settings = parse_settings(
            (whole[:-1] + b", " + text.lstrip()[1:]).decode("utf-8", "replace"), Path("file")
        )
    except ConfigurationError as problem:
        if not all(line.isprintable() for line in problem.message.splitlines()):
            raise AssertionError("the message holds what a terminal obeys") from problem
        raise
    assert settings.keep is None or timedelta() < settings.keep <= LONGEST
    written = settings.redact
    redaction = Redaction(
        RuleTexts(
            drop=written.drop,
            hash=written.hash,
            patterns=written.patterns,
            expressions=written.expressions,
            drops_images=written.images == "drop",
            key=KEY,
        )
    )
    for body in corpus.completions()[:6]:
        _same_completion(redaction, body)


def redacted_completion(body: bytes) -> None:
    """Whatever comes is redacted in bounded time; what can be read holds nothing more to find."""
    once = ALL.completion(body).text
    if _same_completion(ALL, body):
        assert ALL.completion(once).text == once
    ALL.messages(body)
    assert "\n" not in ALL.words("x") == "x"


def duration(text: bytes) -> None:
    """A duration has bounds, and can be written down again."""
    try:
        found = parse_duration(text.decode("utf-8", "replace"))
    except ValueError as problem:
        if not str(problem).startswith("expected "):
            raise AssertionError("the message says nothing of what is expected") from problem
        raise
    assert timedelta() <= found <= LONGEST
    assert parse_duration(format_duration(found)) == found


def _same_completion(redaction: Redaction, body: bytes) -> bool:
    """If it can be read, then also redacted, with the same id and time; say whether it can."""
    try:
        before = read_completion(body)
    except InvalidResponseError:
        return False
    after = read_completion(redaction.completion(body).text)
    assert (after.id, after.created) == (before.id, before.created)
    return True
