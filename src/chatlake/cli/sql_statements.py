"""DuckDB's errors in one or two lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Final

import duckdb

from chatlake.errors import ChatlakeError, LakeDamagedError, UsageError
from chatlake.lake.catalog.duckdb_files import has_moved, raised_while_reading

_MISSING_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")
_OF_THE_QUERY: Final = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.NotSupportedError,
    duckdb.IOException,
)
# Damage inside of a file, which DuckDB does not name; so is an error without a class of its own.
_OF_A_FILE: Final = re.compile(r"Invalid Input Error: .*(Parquet|stats size|Invalid unicode)")
_FILES_HINT: Final = "--allow-files lets a query read files outside the lake."
_OUTSIDE: Final = re.compile(r'Cannot access (?:file|directory) "(.*)" - file system operations')


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
        if has_moved(error, location):
            raise LakeDamagedError(f"a file of the lake is missing: {_path_in(text)}") from error
        if outside := _OUTSIDE.search(text):
            raise UsageError(
                f"chatlake sql reads only the lake, not {outside[1]}", hint=_FILES_HINT
            ) from error
        message = _before_the_quotation(text)
        if location in text.partition("\n\nLINE")[0]:
            raise LakeDamagedError(message) from error
        if type(error) is duckdb.Error or _OF_A_FILE.match(text):
            raise LakeDamagedError(f"a file of the lake cannot be read: {message}") from error
        if isinstance(error, _OF_THE_QUERY):
            raise UsageError(message, hint=_hint(error, text, views)) from error
        raise ChatlakeError(message) from error


def _path_in(text: str) -> str:
    """Return the file that an error is about."""
    return next(iter(re.findall(r'"([^"]+?\.parquet)', text)), text)


def _before_the_quotation(text: str) -> str:
    """Return what DuckDB says before it quotes the query, on one line."""
    return " ".join(text.partition("\n\nLINE")[0].partition("\nDid you mean")[0].split())


def _hint(error: duckdb.Error, text: str, views: Sequence[str]) -> str:
    """Return what may have been meant, as far as that can be told."""
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
        return "Give the shell the whole query in one pair of quotes, or in a file: - < FILE."
    if isinstance(error, duckdb.BinderException) and "not found in FROM" in text:
        return "DESCRIBE completions lists the columns of a view."
    return ""
