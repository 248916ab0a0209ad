"""The ready patterns: what each finds, what it leaves, and that no text keeps it busy."""

from __future__ import annotations

import time

import pytest

from chatlake.model.redaction.patterns import READY, own_pattern
from tests.growth import grows_with_length


def found(name: str, text: str) -> list[str]:
    """Return what a pattern finds in a text."""
    return [text[start:end] for start, end in READY[name].find(text)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("email", "jane.roe+x@mail.example.co.uk"),
        ("email", "jürgen@müller.de"),
        ("phone", "+49 30 1234567"),
        ("phone", "+49 (0)30 123-4567"),
        ("phone", "+4915123456789"),
        ("phone", "0049 151 23456789"),
        ("phone", "(030) 1234567"),
        ("phone", "0151/23456789"),
        ("phone", "555-234-4567"),
        ("phone", "(555) 234-4567"),
        ("phone", "+1 555 234 4567"),
        ("card", "4111111111111111"),
        ("card", "4111 1111 1111 1111"),
        ("card", "4111-1111-1111-1111"),
        ("card", "3782 822463 10005"),
        ("card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ("card", "6304000000000000000"),
        ("card", "𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏"),
        ("iban", "DE89370400440532013000"),
        ("iban", "de89 3704 0044 0532 0130 00"),
        ("iban", "GB29 NWBK 6016 1331 9268 19"),
        ("iban", "NO93-8601-1117-947"),
        ("keys", "sk-proj-abcdefghijklmnop0123"),
        ("keys", "sk-ant-api03-abcdefghijklmnop0123"),
        ("keys", "AKIAIOSFODNN7EXAMPLE"),
        ("keys", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ("keys", "xoxb-1234567890-abcdef"),
        ("keys", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g"),
        ("keys", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"),
        ("keys", "-----BEGIN PRIVATE KEY-----\nMIIE cut off"),
    ],
)
def test_what_is_found(name: str, text: str) -> None:
    """A pattern finds its text alone, between words and in brackets."""
    assert found(name, text) == [text]
    if not text.endswith("cut off"):
        assert found(name, f"this ({text}) here") == [text]
        assert found(name, f"this {text}, here") == [text]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("email", "a@b"),
        ("email", "@decorator.name"),
        ("phone", "2024-01-15 10:30"),
        ("phone", "order 1234567890"),
        ("phone", "version 0.12.3"),
        ("phone", "it costs 1 234 567 dollars"),
        ("card", "4111111111111112"),
        ("card", "41111111111111111111"),
        ("card", "0.4111111111111111"),
        ("card", "2019 2020 2021 2022"),
        ("card", "12 34 56 78 90 12 34 56 78"),
        ("card", "a94a8fe54111111111111111c19ba61c4c0873d391"),
        ("iban", "DE89370400440532013001"),
        ("iban", "XX89370400440532013000"),
        ("iban", "DE8937040044053201300"),
        ("keys", "task-force-of-the-year-2026"),
        ("keys", "sk-short"),
        ("keys", "-----BEGIN CERTIFICATE-----"),
    ],
)
def test_what_stays(name: str, text: str) -> None:
    """Text that only looks like it stays: no check digit, part of something longer, a date."""
    assert found(name, text) == []


@pytest.mark.sample(40)
@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "+1", "+49 1", "a", "a@", "a.", "-eyJ", "eyJa.", "DE89", "A1 ", "(0", "01-", "sk-",
     "SG.a", "-----BEGIN PRIVATE KEY-----", "4111 ", "@a.", "0" * 40 + "x", "+49" + "1" * 30 + "x"],
)  # fmt: skip
def test_no_text_keeps_a_pattern_busy(name: str, piece: str) -> None:
    """The time grows with the text, so a stranger's text cannot stop a backup."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece)) + "!"
        began = time.thread_time()
        list(READY[name].find(text))
        return time.thread_time() - began

    assert grows_with_length(seconds, 25_000)


def test_an_own_expression_does_not_backtrack() -> None:
    """What takes Python's engine years takes RE2 no time."""
    assert list(own_pattern("x", "(a+)+$").find("a" * 100_000 + "!")) == []


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("(?=x)", "no look-around"),
        (r"(a)\1", "no look-around and no back references"),
        ("(", "a regular expression as RE2 reads it"),
        ("x*", "does not match the empty text"),
        ("x" * 1001, "at most 1000 characters"),
    ],
)
def test_an_expression_that_cannot_be_used(expression: str, problem: str) -> None:
    """It is refused, with what to write instead."""
    with pytest.raises(ValueError, match=r"^expected ") as refused:
        own_pattern("x", expression)
    assert problem in str(refused.value)


def test_an_expression_is_shown_without_what_a_terminal_obeys() -> None:
    """RE2 repeats what it cannot read, and that may turn the line around."""
    with pytest.raises(ValueError, match=r"^expected ") as refused:
        own_pattern("x", "(\u202e\ufeff")
    assert str(refused.value).isprintable()
