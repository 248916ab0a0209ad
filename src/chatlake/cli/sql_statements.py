"""DuckDB's errors in one or two lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Final

import duckdb

from chatlake.errors import ChatlakeError, LakeDamagedError, SqlError, UsageError
from chatlake.lake.catalog.duckdb_files import has_moved, raised_while_reading

_MISSING_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")
_OF_THE_QUERY: Final = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.NotSupportedError,
    duckdb.IOException,
)
# Damage inside a file, which DuckDB does not name; an error without its own class means the same.
_OF_A_FILE: Final = re.compile(r"Invalid Input Error: .*(Parquet|stats size|Invalid unicode)")
# What people look for, but the API does not store.
_NOT_STORED: Final = re.compile(
    r'(?:column|Table with name|Column with name) "?(?:'
    r"(?P<time>\w*(?:latency|duration|elapsed|response_time|ttft)\w*)"
    r"|(?P<money>\w*(?:price|cost|dollar|usd)\w*))",
    re.IGNORECASE,
)
_WHY_NOT_STORED: Final = {
    "time": "The API does not store how long a completion took, or the times of messages.",
    "money": "The API does not store prices. List yours under `prices:` in the configuration, for "
    "the view costs, or join a file with --allow-files.",
}
_FILES_HINT: Final = "--allow-files lets a query read files outside the lake."
_OUTSIDE: Final = re.compile(r'Cannot access (?:file|directory) "(.*)" - file system operations')


@contextmanager
def errors_explained(location: str, views: Sequence[str]) -> Iterator[None]:
    """Turn DuckDB's errors into chatlake's.

    UsageError (exit 2) for the query, LakeDamagedError for a file of the lake, KeyboardInterrupt
    for an interrupted query, ChatlakeError for anything else.
    """
    try:
        yield
    except (duckdb.InterruptException, RuntimeError) as error:
        # DuckDB makes a RuntimeError of what a signal's handler raised while a query ran.
        if isinstance(error, RuntimeError) and str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None
    except UnicodeDecodeError as error:
        raise LakeDamagedError(f"a text of the lake was altered: {error}") from error
    except duckdb.Error as error:
        if raised := raised_while_reading(error):
            raise raised from error
        text = str(error)
        if unread := _not_read(error, location):
            raise unread from error
        message = _before_the_quotation(text)
        if location in text.partition("\n\nLINE")[0]:
            raise LakeDamagedError(message) from error
        if type(error) is duckdb.Error or _OF_A_FILE.match(text):
            raise LakeDamagedError(f"a file of the lake cannot be read: {message}") from error
        if isinstance(error, _OF_THE_QUERY):
            hint = _not_stored(text) or _hint(error, text, views)
            raise SqlError(message, quotation=_quotation(text), hint=hint) from error
        raise ChatlakeError(message) from error


def _not_read(error: duckdb.Error, location: str) -> ChatlakeError | None:
    """Return the error for a file that DuckDB did not open: missing in the lake, or outside it."""
    text = str(error)
    if has_moved(error, location):
        path = next(iter(re.findall(r'"([^"]+?\.parquet)', text)), text)
        return LakeDamagedError(f"a file of the lake is missing: {path}")
    if outside := _OUTSIDE.search(text):
        return UsageError(f"chatlake sql reads only the lake, not {outside[1]}", hint=_FILES_HINT)
    return None


def _before_the_quotation(text: str) -> str:
    """Return what DuckDB says before it quotes the query, on one line."""
    return " ".join(text.partition("\n\nLINE")[0].partition("\nDid you mean")[0].split())


def _quotation(text: str) -> str:
    """Return the line of the query that DuckDB quotes, and its caret below the place."""
    _, found, quoted = text.partition("\n\nLINE ")
    return f"LINE {quoted.rstrip()}" if found else ""


def _not_stored(text: str) -> str:
    """Return why there is no such column, if it is one that many look for; else nothing."""
    found = _NOT_STORED.search(text)
    return _WHY_NOT_STORED[found.lastgroup or ""] if found else ""


def _hint(error: duckdb.Error, text: str, views: Sequence[str]) -> str:
    """Return a suggestion of what may have been meant, if there is one."""
    missing = _MISSING_TABLE.search(text)
    if missing is not None and re.search(r"[./*]", missing[1]):
        return _FILES_HINT
    if missing is not None:
        near = get_close_matches(missing[1].lower(), views, n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        return f"{meant}Views: {', '.join(views)}."
    meant_name = re.search(r'Did you mean "[^"]+"\?', text)
    if meant_name is not None:
        return meant_name[0]
    if isinstance(error, duckdb.ParserException):
        return "In the shell, put the whole query in one pair of quotes, or in a file: - < FILE."
    if isinstance(error, duckdb.BinderException) and "not found in FROM" in text:
        return "DESCRIBE completions lists the columns of a view."
    return ""
