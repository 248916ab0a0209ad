"""Which SQL `chatlake sql` takes, and DuckDB's errors in one or two lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Final

import duckdb

from chatlake.errors import ChatlakeError, LakeDamagedError, UsageError
from chatlake.lake.duckdb_files import raised_while_reading

_EXPLAIN: Final = re.compile(r"\s*explain\b(\s+analyze\b)?(\s*\([^)]*\))?", re.IGNORECASE)
_COMMENT: Final = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_READING_PRAGMA: Final = re.compile(
    r"\s*pragma\s+(show\w*|version|database_list|database_size|table_info|storage_info|functions|"
    r"collations|platform|user_agent)\b",
    re.IGNORECASE,
)
_PIVOT: Final = re.compile(r"\b(un)?pivot(_wider|_longer)?\b", re.IGNORECASE)
_MISSING_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")
_OF_THE_QUERY: Final = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.NotSupportedError,
    duckdb.IOException,
)
# Damage inside of a file, which DuckDB does not name; so is an error without a class of its own.
_OF_A_FILE: Final = re.compile(r"Invalid Input Error: .*(Parquet|stats size|Invalid unicode)")
_READ_ONLY_HINT: Final = (
    "Only SELECT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN; --output FILE writes the result."
)


def checked_statement(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """Return the one statement of `query`; UsageError unless it only reads."""
    statements = connection.extract_statements(query)
    if not statements:
        raise UsageError("the query is empty", hint="Give one SELECT.")
    if len(statements) > 1 and _is_one_pivot(query):
        for preparing in statements[:-1]:  # DuckDB 1.5 makes a temporary type of the columns
            connection.execute(preparing)
        statements = statements[-1:]
    if len(statements) > 1:
        raise UsageError(
            f"expected one statement, got {len(statements)}", hint="Ask one question at a time."
        )
    if not _only_reads(connection, statements[0]):
        raise UsageError("chatlake sql is read-only", hint=_READ_ONLY_HINT)
    return statements[0]


def _is_one_pivot(query: str) -> bool:
    """Say whether this is one PIVOT that finds its columns itself, as DuckDB takes it apart."""
    text = _COMMENT.sub(" ", query).strip().removesuffix(";")
    return ";" not in text and _PIVOT.search(text) is not None


def _only_reads(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> bool:
    text = _COMMENT.sub(" ", statement.query)
    match statement.type:
        case duckdb.StatementType.SELECT:
            return True
        case duckdb.StatementType.PRAGMA:
            return _READING_PRAGMA.match(text) is not None
        case duckdb.StatementType.EXPLAIN:  # EXPLAIN ANALYZE runs what it explains
            rest = text[match.end() :] if (match := _EXPLAIN.match(text)) else ""
            inner = connection.extract_statements(rest)
            return len(inner) == 1 and _only_reads(connection, inner[0])
        case duckdb.StatementType.MULTI:  # a PIVOT that has to find its columns first
            return _PIVOT.search(text) is not None
    return False


@contextmanager
def errors_explained(location: str, views: Sequence[str]) -> Iterator[None]:
    """Turn DuckDB's errors into UsageError (exit 2), or LakeDamagedError for a file of the lake."""
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except UnicodeDecodeError as error:
        raise LakeDamagedError(f"a text of the lake was altered: {error}") from error
    except duckdb.Error as error:
        if raised := raised_while_reading(error):
            raise raised from error
        text = str(error)
        message = _before_the_quotation(text)
        if location in text.partition("\n\nLINE")[0]:
            raise LakeDamagedError(message) from error
        if type(error) is duckdb.Error or _OF_A_FILE.match(text):
            raise LakeDamagedError(f"a file of the lake cannot be read: {message}") from error
        if isinstance(error, _OF_THE_QUERY):
            raise UsageError(message, hint=_hint(error, text, views)) from error
        raise ChatlakeError(message) from error


def _before_the_quotation(text: str) -> str:
    """Return what DuckDB says before it quotes the query, on one line."""
    return " ".join(text.partition("\n\nLINE")[0].partition("\nDid you mean")[0].split())


def _hint(error: duckdb.Error, text: str, views: Sequence[str]) -> str:
    """Return what may have been meant, as far as that can be told."""
    missing = _MISSING_TABLE.search(text)
    if missing is not None:
        near = get_close_matches(missing[1].lower(), views, n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        return f"{meant}Views: {', '.join(views)}."
    meant_name = re.search(r'Did you mean "[^"]+"\?', text)
    if meant_name is not None:
        return meant_name[0]
    if isinstance(error, duckdb.ParserException):
        return "Give the shell the whole query in one pair of quotes, or in a file: - < FILE."
    if isinstance(error, duckdb.BinderException) and "not found in FROM" in text:
        return "DESCRIBE completions lists the columns of a view."
    return ""
