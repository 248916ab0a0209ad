"""The digest: equal for equal content, different for different content."""

from __future__ import annotations

import json

import pytest

from chatlake.model.digest import DIGEST_BYTES, completion_digest
from chatlake.model.json_text import read_sent
from tests.flat import completion, without


def digest(value: object) -> bytes:
    """Return the digest of an object or of a JSON text."""
    text = value if isinstance(value, str) else json.dumps(value)
    return completion_digest(read_sent(text.encode()))


def test_key_order_and_white_space_do_not_count() -> None:
    """Two spellings of the same values are the same version."""
    sent = completion(metadata={"a": "1", "b": "ü"})
    turned = dict(reversed(sent.items())) | {"metadata": {"b": "ü", "a": "1"}}
    spaced = json.dumps(turned, indent=3, ensure_ascii=False)
    assert digest(sent) == digest(spaced)
    assert len(digest(sent)) == DIGEST_BYTES


def test_the_digest_is_the_one_that_lakes_hold() -> None:
    """Another algorithm or length would find every stored completion changed."""
    sent = {"id": "chatcmpl-a", "created": 1700000000, "metadata": {"b": "2", "a": "ü"}}
    assert digest(sent).hex() == "4445c2684ffbe5ba8b5b18090d234ae6"


def test_the_key_object_does_not_count() -> None:
    """Some servers leave it null in the list and send it by id (api-behaviour, Azure)."""
    sent = completion()
    assert digest(sent) == digest(sent | {"object": None}) == digest(without(sent, "object"))


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"a": "2"}},
        {"metadata": None},
        {"seed": -9042522494295578868},
        {"temperature": 0.7000000000000001},
        {"unknown": None},
        {"nested": {"object": 1}},
    ],
)
def test_any_other_change_counts(change: dict[str, object]) -> None:
    """Every value is part of the version, unknown fields included."""
    assert digest(completion(metadata={"a": "1"}) | change) != digest(
        completion(metadata={"a": "1"})
    )


@pytest.mark.parametrize(
    "value",
    [
        "1e400",
        "-1e999",
        "9" * 5000,
        "123456789012345678901234567890",
        r'"\ud83d"',
        r'"\u0000"',
        "[" * 2000 + "]" * 2000,
    ],
)
def test_what_strict_readers_refuse_has_a_digest_too(value: str) -> None:
    """Boundless numbers, lone surrogates and deep nesting give a stable digest, and a change of it."""
    text = json.dumps(completion())[:-1] + ', "odd": %s}'
    assert digest(text % value) == digest(text % value)
    assert digest(text % value) != digest(text % "null")
