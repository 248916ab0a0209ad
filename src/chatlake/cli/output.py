"""Standard output for what was asked for, standard error for everything else.

Colours only on a terminal, and not with `NO_COLOR`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, Final, TextIO

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
# Control characters, and those that turn the direction of the text: both come from strangers.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def say(text: str = "") -> None:
    """Write a line to standard output."""
    print(text)


def note(text: str) -> None:
    """Write a line to standard error."""
    print(text, file=sys.stderr, flush=True)


def warn(text: str, hint: str = "") -> None:
    """Write a warning to standard error, and what to do."""
    note(f"{paint('warning:', 'yellow', sys.stderr)} {printable(text)}")
    _show_hint(hint)


def show_error(message: str, hint: str = "") -> None:
    """Write an error to standard error: each line of the message, and what to do."""
    for line in message.splitlines() or [""]:
        note(f"{paint('error:', 'red', sys.stderr)} {printable(line)}")
    _show_hint(hint)


def _show_hint(hint: str) -> None:
    for line in hint.splitlines():
        note(f"{paint('hint:', 'dim', sys.stderr)} {printable(line)}")


def write_json(document: Any) -> None:
    """Write the one JSON document of a command with `--json`."""
    print(json.dumps(document, indent=2))


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return `text` in a style, or as it is where the stream (standard output) shows none."""
    if not shows_colours(sys.stdout if stream is None else stream):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def shows_colours(stream: TextIO) -> bool:
    """Say whether a stream is a terminal that may be coloured."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return `text` on one line, with control characters as their escapes."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
