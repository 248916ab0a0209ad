"""`chatlake sql -i`: one question after the other, with history and completion on a terminal.

A question ends with `;`, the prompt with Ctrl-D.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from chatlake import signals
from chatlake.bootstrap.known_lakes import state_folder
from chatlake.cli.output import note, show_error
from chatlake.cli.sql_answer import Questions
from chatlake.errors import ChatlakeError
from chatlake.lake.catalog.views import VIEWS

_FIRST: Final = "chatlake> "
_NEXT: Final = "     ...> "
_HISTORY: Final = "sql-history"
_LINES_KEPT: Final = 1000
_WORDS: Final = (*VIEWS, "SELECT", "FROM", "WHERE", "GROUP BY ALL", "ORDER BY", "LIMIT",
                 "DESCRIBE", "SUMMARIZE", "SHOW TABLES", "PIVOT", "EXPLAIN")  # fmt: skip


def ask_in_turn(questions: Questions, style: str) -> None:
    """Answer what is typed until its end; an error in one question ends only that one."""
    is_terminal = sys.stdin.isatty()
    with signals.interruptible(), _history(state_folder() if is_terminal else None):
        while (query := _typed(is_terminal=is_terminal)) is not None:
            try:
                if query.strip("; \n"):
                    questions.answer(query, style, None)
                    sys.stdout.flush()
            except KeyboardInterrupt:
                note("interrupted")
            except ChatlakeError as error:
                show_error(error.message, error.hint)


def _typed(*, is_terminal: bool) -> str | None:
    """Return the next question, of one or more lines; None at the end."""
    lines: list[str] = []
    while True:
        try:
            prompt = (_NEXT if lines else _FIRST) if is_terminal else ""
            lines.append(input(prompt))
        except EOFError:
            if is_terminal:
                note("")
            return "\n".join(lines) if lines else None
        except KeyboardInterrupt:
            note("")
            lines.clear()
            continue
        if lines in (["\\q"], [".quit"]):
            return None
        if lines[-1].rstrip().endswith(";"):
            return "\n".join(lines)


@contextmanager
def _history(folder: Path | None) -> Iterator[None]:
    """Keep what was typed in a file that only its owner may read; complete words with Tab."""
    if folder is None:
        yield
        return
    import readline  # noqa: PLC0415 - it changes the terminal

    readline.set_completer(_completed)
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_LINES_KEPT)
    file = folder / _HISTORY
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        file.chmod(0o600)
        readline.read_history_file(file)
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(file)
            file.chmod(0o600)


def _completed(start: str, number: int) -> str | None:
    found = [word for word in _WORDS if word.lower().startswith(start.lower())]
    return found[number] if number < len(found) else None
