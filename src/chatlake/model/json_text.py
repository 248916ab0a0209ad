r"""JSON text as the API sent it, and the same text made safe for strict readers.

RFC 8259 allows a string with half a surrogate pair (`\ud83d` alone), and a number too large for a
double (`1e400`). msgspec refuses both, DuckDB and most strict readers the first; Python's `json`
accepts them. The backup must keep them, so every object has two forms: `text`, exactly what was
sent, and `clean`, which strict readers accept. Both have the same length, so that a place in one is
the same place in the other. In nearly every case they are one and the same bytes.
"""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator

import msgspec

from chatlake.model.json_marks import MARKS, STRING

# Alternatives in this order, so that a whole pair is never split and `\\ud800` (an escaped
# backslash followed by plain letters) is never taken for an escape.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)
_LONE_SURROGATE_HINT = re.compile(rb"\\u[dD][89a-fA-F]")
_NUMBERS = re.compile(STRING + rb"|(-?[0-9][0-9.eE+-]*)", re.DOTALL)


class SentObject(msgspec.Struct, frozen=True, gc=False):
    """One JSON value as the API sent it.

    `text`: the exact bytes. `clean`: the same number of bytes, which strict readers accept; it is
    the same object as `text` if they accept that.
    """

    text: bytes
    clean: bytes

    def member(self, key: str, value: bytes) -> SentObject:
        """Return the value of a key with its exact text; `value` is its clean text.

        If a key is repeated, the last value counts, as for every JSON reader here.
        """
        found = SentObject(value, value)
        if self.text is self.clean:
            return found
        for name, start, end in _items(self.clean):
            if name and json.loads(name) == key:
                found = self._cut(start, end)
        return found

    def elements(self, values: Iterable[bytes]) -> list[SentObject]:
        """Return the elements of an array with their exact texts; `values` are the clean ones."""
        if self.text is self.clean:
            return [SentObject(value, value) for value in values]
        return [self._cut(start, end) for _, start, end in _items(self.clean)]

    def with_tame_numbers(self) -> SentObject:
        """Return the value with `null` in `clean` for each number too large for a double."""
        clean = _NUMBERS.sub(_tame, self.clean)
        return self if clean == self.clean else SentObject(self.text, clean)

    def valid_text(self) -> bytes:
        """Return valid JSON: the exact text, lone surrogate escapes spelled out as plain text."""
        return self.text if self.text is self.clean else spell_out_lone_surrogates(self.text)

    def _cut(self, start: int, end: int) -> SentObject:
        text, clean = self.text[start:end], self.clean[start:end]
        return SentObject(text, text if text == clean else clean)


def read_sent(body: bytes) -> SentObject:
    """Wrap a JSON text as it was sent."""
    text = body.removeprefix(BOM_UTF8).strip()
    return SentObject(text, replace_lone_surrogates(text))


def quoted_start(body: bytes) -> str:
    """Return the beginning of a response, to append to an error; empty for a JSON object or array.

    The page of a proxy explains itself. But what begins like an object may contain what somebody
    wrote. The lake keeps the error with the gap, and there nobody could erase those words.
    """
    text = body.removeprefix(BOM_UTF8).lstrip()
    if text[:1] in (b"{", b"["):
        return ""
    return f": {text[:80].decode('utf-8', 'replace')!r}"


def replace_lone_surrogates(text: bytes) -> bytes:
    r"""Replace each lone surrogate escape by `\ufffd`: the length stays, offsets stay valid."""
    return _rewrite(text, rb"\ufffd")


def spell_out_lone_surrogates(text: bytes) -> bytes:
    r"""Turn each lone surrogate escape into plain text: `\ud83d` becomes `\\ud83d`.

    The result is valid JSON that still shows which code unit was sent.
    """
    return _rewrite(text, None)


def _rewrite(text: bytes, replacement: bytes | None) -> bytes:
    if not _LONE_SURROGATE_HINT.search(text):
        return text

    def substitute(match: re.Match[bytes]) -> bytes:
        lone = match.group(1)
        if lone is None:
            return match.group(0)
        return b"\\" + lone if replacement is None else replacement

    rewritten = _ESCAPES.sub(substitute, text)
    return text if rewritten == text else rewritten


def _tame(match: re.Match[bytes]) -> bytes:
    number = match.group(1)
    try:
        is_infinite = number is not None and math.isinf(float(number))
    except ValueError:  # not a number: the reader of the value reports it
        is_infinite = False
    if not is_infinite:
        return match.group(0)
    return b"null".ljust(len(number))  # the shortest such number has five characters


def _items(text: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield key (as written; empty in an array), start and end of each item of a valid value."""
    depth, start, key = 0, 0, b""
    for match in MARKS.finditer(text):
        mark = match.group()
        if mark in {b"{", b"["}:
            depth += 1
            start = match.end() if depth == 1 else start
        elif mark in {b"}", b"]"}:
            depth -= 1
        elif mark == b":" and depth == 1:
            key, start = text[start : match.start()].strip(), match.end()
        if (depth == 1 and mark == b",") or (depth == 0 and mark in {b"}", b"]"}):
            value = text[start : match.start()]
            if value.strip():
                begin = start + len(value) - len(value.lstrip())
                yield key, begin, begin + len(value.strip())
            start, key = match.end(), b""
