"""Standard output for what was asked for, standard error for everything else.

Colours only on a terminal, and not with `NO_COLOR`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final, TextIO

from chatlake.errors import ChatlakeError, SqlError
from chatlake.model.outside_text import strike_out
from chatlake.model.terminal_text import printable, printable_json, printable_lines

__all__ = [
    "detail",
    "note",
    "paint",
    "printable",
    "say",
    "show",
    "show_error",
    "shows_colours",
    "warn",
    "write_json",
]

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def say(text: str = "") -> None:
    """Write a line to standard output; of terminal codes, only colours are kept."""
    print(printable_lines(text))


def note(text: str) -> None:
    """Write a line to standard error; of terminal codes, only colours are kept."""
    print(printable_lines(text), file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """Write a dim line to standard output at once, indented below the step that it belongs to."""
    say(f"     {paint(text, 'dim')}")
    sys.stdout.flush()


def warn(text: str, hint: str = "") -> None:
    """Write a warning to standard error, and what to do."""
    note(f"{paint('warning:', 'yellow', sys.stderr)} {printable(strike_out(text))}")
    _show_hint(hint)


def show_error(message: str, hint: str = "") -> None:
    """Write an error to standard error: each line of the message, and what to do."""
    for line in strike_out(message).splitlines() or [""]:
        note(f"{paint('error:', 'red', sys.stderr)} {printable(line)}")
    _show_hint(hint)


def show(error: ChatlakeError) -> None:
    """Write an error and what to do; on a terminal also the place of an error in SQL."""
    quotation = error.quotation if isinstance(error, SqlError) and sys.stderr.isatty() else ""
    show_error("\n".join(filter(None, (error.message, quotation))), error.hint)


def _show_hint(hint: str) -> None:
    for line in hint.splitlines():
        note(f"{paint('hint:', 'dim', sys.stderr)} {printable(line)}")


def write_json(document: Any) -> None:
    """Write the one JSON document of a command with `--json`."""
    text = json.dumps(document, indent=2)
    print(printable_json(text) if sys.stdout.isatty() else text)


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return `text` in a style, or unchanged if the stream (standard output) shows no styles."""
    if not shows_colours(sys.stdout if stream is None else stream):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def shows_colours(stream: TextIO) -> bool:
    """Say whether a stream is a terminal that may be coloured."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
