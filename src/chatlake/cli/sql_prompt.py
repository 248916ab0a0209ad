"""`chatlake sql` on a terminal: one query after another.

A query may take several lines and ends with `;`. Words that begin with a dot are commands of the
prompt. Without a terminal (`chatlake sql -i < FILE`) the questions are read line by line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from chatlake import signals
from chatlake.cli.output import note, say, show
from chatlake.cli.sql_answer import Questions
from chatlake.errors import ChatlakeError, UsageError
from chatlake.lake.catalog.views import VIEWS, quoted
from chatlake.model.counts import count

_HELP: Final = """\
End a query with ; and press Enter. Ctrl-C drops a line or stops a query.
.tables          list the views, and say what a row of each is
.schema [VIEW]   list the columns of one view, or of all
.ask [NAME]      answer a common question, or list them
.help            show this text
.quit            leave; Ctrl-D does the same"""
_TABLES: Final = """
SELECT view_name AS "view", comment AS one_row_is
FROM duckdb_views()
WHERE database_name = 'lake' AND schema_name = 'main' AND NOT internal
ORDER BY view_name
"""
_SCHEMA: Final = """
SELECT table_name AS "view", column_name AS "column", data_type AS "type", comment AS meaning
FROM duckdb_columns()
WHERE database_name = 'lake' AND schema_name = 'main' {of_one}
ORDER BY table_name, column_index
"""
_LEAVE: Final = (".quit", ".exit", "\\q")

Ask = Callable[[], str]
"""Returns the next question; raises EOFError at the end and KeyboardInterrupt for Ctrl-C."""


def ask_in_turn(questions: Questions, style: str) -> None:
    """Run each query that is typed, until the input ends; an error ends only its own query."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if on_terminal:
        from chatlake.cli.sql_editor import editor  # noqa: PLC0415 - it takes a while to import

        ask = editor(questions.connection)
        note("Type SQL and end it with ;  (.help for help, Ctrl-D to leave)")
    else:
        ask = _piped
    with signals.interruptible():
        while (typed := _next(ask)) is not None:
            try:
                _answer(questions, typed, style, paged=on_terminal)
                sys.stdout.flush()
            except KeyboardInterrupt:
                note("interrupted")
            except ChatlakeError as error:
                show(error)


def _next(ask: Ask) -> str | None:
    while True:
        try:
            typed = ask().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return None
        return None if typed in _LEAVE else typed


def _answer(questions: Questions, typed: str, style: str, *, paged: bool) -> None:
    if typed.startswith("."):
        query = _of_the_prompt(*typed.rstrip(";").split())
        style = "table"
    else:
        query = typed if typed.strip("; \n") else ""
    if query:
        questions.answer(query, style, None, paged=paged)


def _of_the_prompt(word: str, *rest: str) -> str:
    """Return the query for a dot command; empty if its result is already shown."""
    match (word, *rest):
        case (".help",):
            say(_HELP)
        case (".tables",):
            return _TABLES
        case (".schema",):
            return _SCHEMA.format(of_one="")
        case (".schema", view):
            if view.lower() not in VIEWS:
                raise UsageError(f"there is no view {view!r}", hint=f"Views: {', '.join(VIEWS)}.")
            return _SCHEMA.format(of_one=f"AND table_name = {quoted(view.lower())}")
        case (".ask", *words):
            return _ready(words)
        case _:
            raise UsageError(
                f"unknown command: {word} with {count(len(rest), 'word')}",
                hint=".help lists the commands.",
            )
    return ""


def _ready(words: list[str]) -> str:
    from chatlake.lake.catalog.ready_questions import ready_question, ready_questions  # noqa: PLC0415

    if not words:
        for question in ready_questions().values():
            say(f"{question.name:15} {question.description}")
        return ""
    name, *options = words
    if len(options) % 2 or not all(option.startswith("--") for option in options[::2]):
        raise UsageError("expected .ask NAME [--OPTION VALUE]…", hint="Try .ask usage")
    given = {
        option.removeprefix("--"): value
        for option, value in zip(options[::2], options[1::2], strict=True)
    }
    return ready_question(name).sql(given)


def _piped() -> str:
    """Return the lines of standard input up to one that ends with `;`."""
    lines: list[str] = []
    for line in sys.stdin:
        lines.append(line)
        text = "".join(lines).strip()
        if text.endswith(";") or (text.startswith((".", "\\")) and len(lines) == 1):
            return text
    if not lines:
        raise EOFError
    return "".join(lines)
