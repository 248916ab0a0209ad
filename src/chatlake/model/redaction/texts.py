r"""Patterns in one text: replaced in place, however the text spells them.

A text may hold JSON that is not whole, such as arguments that were cut off. There `4` may be
written as `\u0034`, or as `\\u0034` one level deeper. So the text is also searched with its escapes
decoded, up to three levels deep, and what is found is replaced at its place in the text itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from chatlake.model.redaction.patterns import Pattern

Note = Callable[[str, str], None]
"""Called with each replacement: the pattern's name, and the text that matched."""

_LEVELS: Final = 3
_PASSES: Final = 8
_ESCAPE: Final = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))",
    re.DOTALL,
)
_MEANINGS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_LEFT_ALONE: Final = re.compile(r"\[redacted:[a-z0-9_-]{1,64}\]|chatlake-image:[0-9a-f]{64}")


def marker(name: str) -> str:
    """Return what stands where something was redacted."""
    return f"[redacted:{name}]"


def redact_text(text: str, patterns: Sequence[Pattern], note: Note) -> str:
    """Return a text with a marker for each match; the same object if there is none.

    The markers of an earlier redaction stay as they are.
    """
    for _ in range(_PASSES):  # a marker makes a new border, beside which more may match
        found = _find(text, patterns)
        new = _replaced(text, found, note) if found else text
        if new is text:
            break
        text = new
    return text


def _replaced(text: str, found: Sequence[tuple[int, int, str]], note: Note) -> str:
    left_alone = [each.span() for each in _LEFT_ALONE.finditer(text)]
    pieces: list[str] = []
    at = 0
    for start, end, name in found:
        nearest = bisect_right(left_alone, (end,)) - 1
        if start < at or (nearest >= 0 and start < left_alone[nearest][1]):
            continue
        note(name, text[start:end])
        pieces += [text[at:start], marker(name)]
        at = end
    if not pieces:
        return text
    pieces.append(text[at:])
    return "".join(pieces)


def _find(text: str, patterns: Sequence[Pattern]) -> list[tuple[int, int, str]]:
    """Return the matches in order; those that overlap are joined into one."""
    found = _matches(text, patterns)
    views: list[_View] = []
    level = text
    while "\\" in level and len(views) < _LEVELS:
        views.append(_View(level))
        level = views[-1].text
        for match in _matches(level, patterns):
            place = match[:2]
            for view in reversed(views):
                place = view.place(*place)
            found.append((*place, match[2]))
    if len(found) < 2:
        return found
    merged: list[tuple[int, int, str]] = []
    for start, end, name in sorted(found, key=lambda each: (each[0], -each[1])):
        if merged and start < merged[-1][1]:
            first = merged.pop()
            merged.append((first[0], max(first[1], end), first[2]))
        else:
            merged.append((start, end, name))
    return merged


def _matches(text: str, patterns: Sequence[Pattern]) -> list[tuple[int, int, str]]:
    size = len(text)
    return [
        (start, end, pattern.name)
        for pattern in patterns
        if size >= pattern.shortest
        for start, end in pattern.find(text)
    ]


class _View:
    """A text with its escapes decoded, which knows where each character stands in the original."""

    def __init__(self, text: str) -> None:
        self._escapes = [each.span() for each in _ESCAPE.finditer(text)]
        self.text = unescaped(text)
        self._places: list[int] | None = None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return start and end, in the original, of a part of the view."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, at: int) -> tuple[int, int]:
        """Return start and end, in the original, of the character at `at`: it may be an escape."""
        if self._places is None:
            self._places, shorter = [], 0
            for start, end in self._escapes:
                self._places.append(start - shorter)
                shorter += end - start - 1
        index = bisect_right(self._places, at) - 1
        if index < 0:
            return at, at + 1
        start, end = self._escapes[index]
        beyond = at - self._places[index]
        return (start, end) if not beyond else (end + beyond - 1, end + beyond)


def unescaped(text: str) -> str:
    """Return a text with its JSON escapes decoded by one level."""
    return _ESCAPE.sub(_meaning, text) if "\\" in text else text


def _meaning(escape: re.Match[str]) -> str:
    high, low, unit, plain = escape.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if unit is not None:
        return chr(int(unit, 16))
    return _MEANINGS.get(plain, plain)
