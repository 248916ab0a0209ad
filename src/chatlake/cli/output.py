"""Standard output for what was asked for, standard error for everything else.

Colours only on a terminal, and not with `NO_COLOR`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final, TextIO

from chatlake.cli.stderr_lines import STANDARD_ERROR, json_line
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
    """Write a line to standard output, without any terminal codes but colours."""
    STANDARD_ERROR.write("stdout", text)


def note(text: str) -> None:
    """Write a line to standard error, without any terminal codes but colours."""
    as_json = STANDARD_ERROR.as_json
    STANDARD_ERROR.write("stderr", json_line("info", text.strip()) if as_json else text)


def detail(text: str) -> None:
    """Write a dim line to standard output at once, indented below the step that it belongs to."""
    say(f"     {paint(text, 'dim')}")
    sys.stdout.flush()


def warn(text: str, hint: str = "") -> None:
    """Write a warning to standard error at once, and what to do."""
    _tell("warning", "yellow", text, hint)


def show_error(message: str, hint: str = "", *, kind: str = "") -> None:
    """Write an error to standard error: each line of the message, and what to do.

    What `--quiet` has held back comes first.
    """
    STANDARD_ERROR.write_out()
    _tell("error", "red", message, hint, kind=kind)


def show(error: ChatlakeError) -> None:
    """Write an error and what to do; on a terminal also the place of an error in SQL."""
    quotation = error.quotation if isinstance(error, SqlError) and sys.stderr.isatty() else ""
    message = "\n".join(filter(None, (error.message, quotation)))
    show_error(message, error.hint, kind=error.kind)


def _tell(level: str, style: str, text: str, hint: str, *, kind: str = "") -> None:
    if STANDARD_ERROR.as_json:
        print(json_line(level, text, hint=hint, kind=kind), file=sys.stderr, flush=True)
        return
    lines = [(level, style, line) for line in strike_out(text).splitlines() or [""]]
    lines += [("hint", "dim", line) for line in hint.splitlines()]
    for word, colour, line in lines:
        painted = f"{paint(f'{word}:', colour, sys.stderr)} {printable(line)}"
        print(printable_lines(painted), file=sys.stderr, flush=True)


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
    if stream is sys.stderr and STANDARD_ERROR.as_json:
        return False
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
