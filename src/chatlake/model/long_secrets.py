"""Where a long secret stands in a text, found in time that grows with the text's length.

A pattern of each character, in every way it may be written, is right for a password. For 64 KiB it
takes seconds to compile; RE2, which only an extra installs, takes 0.4 s and 140 MB. So a long
secret is searched for in two ways instead:

- as written, by the search for a substring;
- with any of its characters escaped, by an automaton. It reads the text once. After each character
  it knows every number of the secret's characters that may end there. These numbers are the bits
  of one integer, so a step is three operations, however many of them there are.

The automaton starts only where the first characters of the secret stand, in any writing, and stops
where nothing of the secret can go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

BEGINNING: Final = 16
"""Characters of a long secret that have a pattern, which tells where the automaton starts."""

_ESCAPING: Final = re.compile(r"[%\\&+]")
_DIGITS: Final = re.compile(r"[0-9a-fA-F]{2}")
_UNICODE: Final = re.compile(r"\\u00([0-9a-fA-F]{2})")
_ENTITY: Final = re.compile(
    r"&(?:#0*([0-9]{1,7})|#[xX]0*([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos));"
)
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class LongSecret:
    """One secret; safe to use from several threads."""

    def __init__(self, secret: str, beginning: str) -> None:
        """`beginning` is a pattern of its first `BEGINNING` characters, in every writing."""
        self._secret = secret
        self._beginning = re.compile(beginning)
        self._standing: dict[str, int] = {}

    def find(self, text: str, at: int) -> tuple[int, int] | None:
        """Return start and end of the first place from `at` on where the whole secret stands.

        The place begins too early if the beginning of the secret stands right before the whole.
        """
        if len(text) - at < len(self._secret):
            return None
        if _ESCAPING.search(text, at) is None:
            start = text.find(self._secret, at)
            return None if start < 0 else (start, start + len(self._secret))
        while found := self._beginning.search(text, at):
            start = found.start()
            if text.startswith(self._secret, start):
                return start, start + len(self._secret)
            at, is_whole = self._follow(text, start)
            if is_whole:
                return start, at
        return None

    def _follow(self, text: str, at: int) -> tuple[int, bool]:
        """Read `text` from `at`, while it may be the secret: returns where it ends, and if it is.

        Bit n of `ending[p]` says that the first n characters of the secret may end at p.
        """
        ending = {at: 1}
        while ending:
            here = ending.pop(at, 0) | 1
            if here.bit_length() > len(self._secret):
                return at, True
            if at < len(text):
                for character, end in _readings(text, at):
                    further = (here & self._where(character)) << 1
                    if further:
                        ending[end] = ending.get(end, 0) | further
            at += 1
        return at, False

    def _where(self, character: str) -> int:
        """Return the positions in the secret of a character, as the bits of an integer."""
        bits = self._standing.get(character)
        if bits is None:
            digits = "".join("1" if each == character else "0" for each in reversed(self._secret))
            bits = self._standing[character] = int(digits, 2)
        return bits


def _readings(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield each character that may be written at a position of `text`, and where it ends."""
    character = text[at]
    yield character, at + 1
    match character:
        case "%":
            yield from _percent_encoded(text, at + 1)
        case "\\":
            if digits := _UNICODE.match(text, at):
                yield chr(int(digits[1], 16)), digits.end()
            elif at + 1 < len(text) and not text[at + 1].isalnum():
                yield text[at + 1], at + 2
        case "&":
            if entity := _ENTITY.match(text, at):
                decimal, hexadecimal, name = entity.groups()
                code = int(decimal) if decimal else int(hexadecimal or "0", 16)
                if name or code < 0x110000:
                    yield _NAMED[name] if name else chr(code), entity.end()
        case "+":
            yield " ", at + 1


def _percent_encoded(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield what the digits at `at` say; after 25, which is `%` itself, digits may follow again."""
    while digits := _DIGITS.match(text, at):
        at = digits.end()
        yield chr(int(digits[0], 16)), at
        if digits[0] != "25":
            return
