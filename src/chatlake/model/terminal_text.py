"""Text from outside on a terminal: control characters are shown, not executed.

Control characters move the cursor, change the window's title or worse; C1 ones (U+0080 to U+009F)
do the same on many terminals. Direction marks let a text look like another one.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import BinaryIO, Final

_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_COLOUR: Final = re.compile("(\x1b\\[[0-9;]*m)")


def printable(text: str) -> str:
    """Return `text` on one line; each character that a terminal would obey becomes an escape."""
    return _UNPRINTABLE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Return `text` as `printable` does, but keep its line breaks and colours."""
    pieces = _COLOUR.split(text)
    pieces[::2] = ["\n".join(map(printable, piece.split("\n"))) for piece in pieces[::2]]
    return "".join(pieces)


def printable_json(text: str) -> str:
    r"""Return JSON of the same value; what a terminal would obey becomes `\uXXXX`."""
    return _UNPRINTABLE.sub(_escape_in_json, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


def _escape_in_json(match: re.Match[str]) -> str:
    # Outside texts, JSON has only white space; within them, control characters are escaped.
    return match[0] if match[0] in "\n\r\t" else f"\\u{ord(match[0]):04x}"


class Terminal(io.BufferedIOBase):
    """A terminal to write UTF-8 to, as to a file; `is_json`: how escapes are written."""

    def __init__(self, stream: BinaryIO, *, is_json: bool) -> None:
        self._stream = stream
        self._is_json = is_json
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Write bytes, which may end within a character; returns how many."""
        self._show(self._decoder.decode(data))
        return len(data)

    def flush(self) -> None:
        """Write what is left over, and flush the terminal."""
        if not self._stream.closed:
            self._show(self._decoder.decode(b"", final=True))
            self._stream.flush()

    def _show(self, text: str) -> None:
        if self._is_json:
            text = printable_json(text)
        else:
            text = "\n".join(map(printable, text.split("\n")))
        self._stream.write(text.encode())
