"""The places of brackets, commas and colons in a JSON text, found in linear time.

No JSON reader has accepted the text, so nothing about it is certain: a string may never end, and
brackets may be nested a hundred thousand deep. Two things keep the time in bounds:

    a string that never ends   is taken up to the end of the text, once; its many quotes begin no
                               further search
    what lies deep             is passed over in blocks whose brackets are counted, not looked at

Nothing of what lies deeper than `DEEP` is needed: a row that goes so deep is named, not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
"""A string with its quotes; one that does not end extends to the end of the text."""
MARKS: Final = re.compile(STRING + rb"|[\[\]{},:]", re.DOTALL)
OPEN: Final = frozenset({b"[", b"{"})
CLOSE: Final = frozenset({b"]", b"}"})
DEEP: Final = 100
_BLOCK: Final = 4096
_REST_OF_STRING: Final = re.compile(STRING[1:], re.DOTALL)


class Mark(NamedTuple):
    """A string, bracket, comma or colon; `depth` is the nesting around it."""

    token: bytes
    start: int
    end: int
    depth: int


def marks_of(text: bytes) -> Iterator[Mark]:
    """Yield the marks of a text in order; not all of those deeper than `DEEP`."""
    at = depth = 0
    look_again_at = 0
    while at < len(text):
        for found in MARKS.finditer(text, at):
            token, at = found.group(), found.end()
            depth -= token in CLOSE
            yield Mark(token, found.start(), at, depth)
            depth += token in OPEN
            if depth > DEEP and at >= look_again_at:
                break
        else:
            return
        at, depth = _past_deep(text, at, depth)
        look_again_at = at + _BLOCK


def _past_deep(text: bytes, at: int, depth: int) -> tuple[int, int]:
    """Return a later place outside strings, up to which everything is deep, and the depth there."""
    while at < len(text):
        block = text[at : at + _BLOCK]
        if (len(block) - len(block.rstrip(b"\\"))) % 2 and len(block) > 1:
            block = block[:-1]  # do not split an escape
        plain = block.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in block else block
        outside = plain.split(b'"')
        ends_in_string = len(outside) % 2 == 0
        brackets = b"".join(outside[::2])
        closing = brackets.count(b"]") + brackets.count(b"}")
        if depth - closing <= DEEP:
            break
        depth += brackets.count(b"[") + brackets.count(b"{") - closing
        at += len(block)
        if ends_in_string:
            rest = _REST_OF_STRING.match(text, at)
            at = rest.end() if rest is not None else len(text)
    return at, depth
