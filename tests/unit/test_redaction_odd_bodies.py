"""Redaction of what an odd or hostile server sends: it ends, and breaks nothing."""

from __future__ import annotations

import json
import time

import pytest

from chatlake.errors import InvalidResponseError
from chatlake.model.api_keys import KEYS
from chatlake.model.objects import read_completion
from chatlake.model.redaction.rules import Redaction, RuleTexts
from tests.growth import grows_with_length

HASHING = Redaction(RuleTexts(hash=["tools"], key="k" * 16))
EMAILS = Redaction(RuleTexts(patterns=["email"]))


def test_bytes_that_are_not_utf_8_below_a_hashed_field() -> None:
    """They become a hash like any other value; whoever reads the rest refuses it."""
    body = b'{"id": "a", "tools": [\xed\xa0"x"], "model": "\xed"}'
    redacted = HASHING.completion(body).text
    assert b'"tools": "hash:' in redacted
    with pytest.raises(InvalidResponseError):
        read_completion(redacted)


def test_many_keys_that_become_the_same() -> None:
    """Each stays a key of its own, and the time grows with their number."""

    def seconds(count: int) -> float:
        body = json.dumps({"metadata": {f"user{n}@example.org": n for n in range(count)}})
        began = time.thread_time()
        metadata = json.loads(EMAILS.completion(body.encode()).text)["metadata"]
        took = time.thread_time() - began
        assert len(metadata) == count
        return took

    assert grows_with_length(seconds, 5_000)


@pytest.mark.parametrize("expression", ["a", "[a-z_]+", "(?i).+"])
def test_the_keys_of_the_api_stay(expression: str) -> None:
    """An own expression that matches them changes values and the users' own keys alone."""
    redaction = Redaction(RuleTexts(expressions={"own": expression}))
    sent = {key: {"a long key of a user": key} for key in sorted({*sum(KEYS.values(), ())})}
    redacted = json.loads(redaction.completion(json.dumps(sent).encode()).text)
    assert redacted.keys() == sent.keys()
    assert "a long key of a user" not in redacted["metadata"]
    assert redacted["model"] != sent["model"]


def test_a_body_that_begins_like_a_date_is_refused() -> None:
    """It looks like a number but is not one: it gives no completion, and no traceback."""
    with pytest.raises(InvalidResponseError):
        read_completion(b'9999-12-31T23:59:60Z{"id": "a"}')


@pytest.mark.parametrize("depth", [500, 20_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shape", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_an_address_at_any_depth(depth: int, shape: tuple[bytes, bytes]) -> None:
    """It is replaced wherever a Python reads that deep, and nothing is stored where it does not."""
    opening, closing = shape
    body = b'{"id": "a", "x": %b"jane.doe@example.com"%b}' % (opening * depth, closing * depth)
    assert b"jane.doe" not in EMAILS.completion(body).text
    try:
        stored = read_completion(body, EMAILS).sent.text
    except InvalidResponseError:
        return
    assert stored == body.replace(b"jane.doe@example.com", b"[redacted:email]")
