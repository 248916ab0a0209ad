"""What is looked for in texts: the ready patterns, and the expressions of the configuration.

Every ready pattern takes time that is linear in the text: what may repeat is bounded, or possessive
and begins where a word begins. Configured expressions run in RE2, which does not backtrack at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from chatlake.model.outside_text import one_line
from chatlake.model.redaction.cards import find_cards, find_ibans

Find = Callable[[str], Iterator[tuple[int, int]]]
"""Yields start and end of each match, in order and without overlap."""

LONGEST_EXPRESSION: Final = 1000
_MOST_MEMORY: Final = 8 << 20
_LOOKS_AROUND: Final = re.compile(r"[$^]|\\[AzbB]")
LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # which RE2, in UTF-8, cannot see


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of value to be replaced: its name in the marker, and how it is found.

    `shortest`: a text of fewer characters cannot hold one. `anywhere`: searches a larger text for
    one; None if a match depends on where the text begins and ends. For ready patterns, `hints` has
    its own expressions.
    """

    name: str
    find: Find
    shortest: int = 1
    anywhere: Callable[[str], Any] | None = None


_EMAIL: Final = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]++"
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
_PHONES: Final = re.compile(
    r"(?<![\w+])(?:"
    # International: + or 00, then 8 to 15 digits.
    r"(?:\+|00)[1-9]\d{0,14}+"
    r"(?:[ \u00a0./-]{0,2}+(?:\(\d{1,5}+\)[ \u00a0./-]{0,2}+\d{1,14}+"
    r"|(?<=[ \u00a0./-])\d{1,14}+)){0,8}+"
    # National, with the area code marked off: (030) 1234567, 0151/2345678, 030-123 45 67.
    r"|\(0\d{1,5}+\)[ \u00a0]?\d{2,9}+(?:[ -]\d{2,9}+){0,4}+"
    r"|0\d{1,5}+[ \u00a0/-]{1,3}+\d{2,9}+(?:[ -]\d{2,9}+){0,4}+"
    # North America: 555-123-4567, (555) 123-4567, 555.123.4567.
    r"|(?:\+?1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
    r")(?!\w)(?![.,]\d)"
)
_DIGITS: Final = re.compile(r"\d+")
_AFTER_A_GROUP: Final = " \u00a0./-("
_FEWEST_DIGITS, _MOST_DIGITS = 8, 15

_KEYS: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?!-----END)[\s\S]){0,20000}(?:-----END [A-Z0-9 ]{0,40}-----)?"
    r"|(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,500}"
    r"|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[opsur]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}|glpat-[A-Za-z0-9_-]{16,255}"
    r"|xox[a-z]-[A-Za-z0-9-]{10,255}|AIza[A-Za-z0-9_-]{30,60}|hf_[A-Za-z0-9]{20,60}"
    r"|npm_[A-Za-z0-9]{30,60}|pypi-[A-Za-z0-9_-]{30,255}|ya29\.[A-Za-z0-9_-]{20,500}"
    r"|SG\.[A-Za-z0-9_-]{16,60}\.[A-Za-z0-9_-]{16,100}"
    r"|(?<![_-])eyJ[A-Za-z0-9_-]{8,4096}+\.[A-Za-z0-9_-]{8,16384}+(?:\.[A-Za-z0-9_-]{0,4096}+)?"
    r")"
)
_KEY_SIGNS: Final = (
    "sk-", "sk_", "pk-", "pk_", "rk_", "rk-", "AKIA", "ASIA", "AROA", "AIDA", "gho_", "ghp_",
    "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xox", "AIza", "hf_", "npm_", "pypi-", "ya29.",
    "SG.", "eyJ", "-----BEGIN",
)  # fmt: skip


def _find_emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        yield from (found.span() for found in _EMAIL.finditer(text))


def _find_phones(text: str) -> Iterator[tuple[int, int]]:
    for found in _PHONES.finditer(text):
        start, end = found.span()
        digits = 0
        # Digits that follow without a word in between may belong to another number. So only whole
        # groups are taken, as long as they fit.
        for group in _DIGITS.finditer(text, start, end):
            if digits + len(group.group()) > _MOST_DIGITS:
                end = group.start()
                break
            digits += len(group.group())
        if digits >= _FEWEST_DIGITS:
            yield start, start + len(text[start:end].rstrip(_AFTER_A_GROUP))


def _find_keys(text: str) -> Iterator[tuple[int, int]]:
    if any(sign in text for sign in _KEY_SIGNS):
        yield from (found.span() for found in _KEYS.finditer(text))


READY: Final = {
    pattern.name: pattern
    for pattern in (
        Pattern("keys", _find_keys, 14),
        Pattern("email", _find_emails, 6),
        Pattern("iban", find_ibans, 15),
        Pattern("card", find_cards, 13),
        Pattern("phone", _find_phones, 8),
    )
}
"""The patterns by name; where two match the same text, the earlier one names it."""


def own_pattern(name: str, expression: str) -> Pattern:
    """Return the pattern of a configured expression, in RE2's syntax.

    ValueError, beginning with "expected", if the expression is too long, cannot be read or matches
    the empty text, or if RE2 is not installed.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError(f"expected an expression of at most {LONGEST_EXPRESSION} characters")
    try:
        import re2  # noqa: PLC0415 - an extra, which only configured expressions need
    except ImportError:
        raise ValueError(
            "expected the package google-re2, which runs own expressions: "
            "pip install 'chatlake[redact]'"
        ) from None
    options = re2.Options()
    options.max_mem = _MOST_MEMORY
    options.log_errors = False
    try:
        compiled: Any = re2.compile(expression, options)
    except re2.error as problem:
        raise ValueError(
            f"expected a regular expression as RE2 reads it ({_reason(problem)}); it has no "
            "look-around and no back references"
        ) from None
    if compiled.fullmatch(""):
        raise ValueError("expected an expression that does not match the empty text")

    def find(text: str) -> Iterator[tuple[int, int]]:
        for found in compiled.finditer(LONE_SURROGATE.sub("\ufffd", text)):
            if found.end() > found.start():
                yield found.span()

    # With an anchor, an expression may match a text, but not the same text within another one.
    looks_around = _LOOKS_AROUND.search(expression) is not None
    return Pattern(name, find, anywhere=None if looks_around else compiled.search)


def _reason(problem: Exception) -> str:
    reason = problem.args[0] if problem.args else problem
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return one_line(text)  # RE2 repeats what it cannot read
