"""The editor of the prompt: history, completion, colours, queries of several lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from chatlake.bootstrap.known_lakes import state_folder
from chatlake.cli.output import shows_colours

if TYPE_CHECKING:
    import duckdb

_HISTORY: Final = "sql-questions"
_HISTORY_BYTES: Final = 1 << 20
_KEYWORDS: Final = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "GROUP BY ALL", "HAVING", "ORDER BY", "ORDER BY ALL",
    "LIMIT", "JOIN", "LEFT JOIN", "USING", "ON", "AND", "OR", "NOT", "IS NULL", "IS NOT NULL", "IN",
    "BETWEEN", "LIKE", "ILIKE", "CASE WHEN", "THEN", "ELSE", "END", "DISTINCT", "count(*)",
    "count_if(", "sum(", "avg(", "median(", "quantile_cont(", "arg_max(", "unnest(", "date_trunc(",
    "DESCRIBE", "SUMMARIZE", "SHOW TABLES", "PIVOT", "EXPLAIN", "WITH", "AS", "DESC", "QUALIFY",
    ".tables", ".schema", ".ask", ".help", ".quit",
)  # fmt: skip
_WORDS: Final = """
SELECT DISTINCT table_name FROM duckdb_columns()
WHERE database_name = 'lake' AND schema_name = 'main'
UNION ALL
SELECT DISTINCT column_name FROM duckdb_columns()
WHERE database_name = 'lake' AND schema_name = 'main'
"""


def editor(connection: duckdb.DuckDBPyConnection) -> Callable[[], str]:
    """Return a function that reads the next query.

    It raises EOFError for Ctrl-D, KeyboardInterrupt for Ctrl-C. Enter ends a query after `;` or a
    dot command; otherwise it starts a new line. The history is a file that only its owner may read.
    """
    names = [name for (name,) in connection.execute(_WORDS).fetchall()]
    session: PromptSession[str] = PromptSession(
        message="chatlake> ",
        prompt_continuation=lambda width, _line, _wrapped: "...> ".rjust(width),
        multiline=True,
        key_bindings=_keys(),
        history=_history(state_folder()),
        completer=_completer(names),
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
        include_default_pygments_style=_has_colours(),
        enable_history_search=True,
    )
    return session.prompt


def _has_colours() -> bool:
    import sys  # noqa: PLC0415

    return shows_colours(sys.stdout)


def _completer(names: Iterable[str]) -> WordCompleter:
    return WordCompleter([*names, *_KEYWORDS], ignore_case=True, WORD=False)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @Condition
    def is_whole() -> bool:
        from prompt_toolkit.application import get_app  # noqa: PLC0415

        text = get_app().current_buffer.text.strip()
        return not text or text.endswith(";") or text.startswith((".", "\\"))

    @keys.add("enter", filter=is_whole & ~has_completions)
    def _end(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return keys


def _history(folder: Path) -> History:
    file = folder / _HISTORY
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        file.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    with suppress(OSError):
        if file.stat().st_size > _HISTORY_BYTES:
            _shorten(file)
    return FileHistory(file)


def _shorten(file: Path) -> None:
    """Keep the newer half of a long history; an entry begins with an empty line."""
    newer = file.read_bytes()[-_HISTORY_BYTES // 2 :]
    file.write_bytes(newer[newer.find(b"\n\n") + 1 :])
