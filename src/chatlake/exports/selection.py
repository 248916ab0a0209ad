"""Which completions an export takes: a condition in SQL, on the lake's views."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final

import duckdb

from chatlake import signals
from chatlake.errors import ChatlakeError, LakeDamagedError, SqlError
from chatlake.lake.catalog.confinement import confine
from chatlake.lake.catalog.duckdb_files import has_moved, raised_while_reading
from chatlake.lake.catalog.only_reading import require_condition
from chatlake.lake.catalog.views import quoted
from chatlake.lake.files.replaced import replaced_path
from chatlake.lake.lake import Lake

_KEYS = "SELECT source, completion_id, created_date FROM completions"
ATTEMPTS: Final = 3
"""How often to read a lake while another run moves its files."""

# The condition is below the first line of each statement.
_PLACE: Final = re.compile(r"^LINE (\d+): (.*)\n( *\^)", re.MULTILINE)
# Each thread holds a part of a row group; two read a lake as fast as a disk writes.
_SETTINGS = ("SET memory_limit = '1GB'", "SET threads = 2")


@contextmanager
def selected(
    lake: Lake, *, where: str | None = None, sources: Sequence[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the views, with a table `selected` (source, completion_id, created_date) beside them.

    It has the completions that meet `where`, a condition on the view `completions`, and belong to
    `sources`; None means all. Raises UsageError if DuckDB does not understand `where`, and
    LakeDamagedError if the lake cannot be read.
    """
    condition = "true" if where is None else _checked(where)
    names = ", ".join(map(quoted, sources or ()))
    of_source = "true" if sources is None else f"list_contains([{names}]::VARCHAR[], source)"
    # The line break ends a comment. `condition` is checked, the names are quoted.
    keys = f"CREATE TEMP TABLE selected AS {_KEYS} WHERE {of_source} AND (\n{condition}\n)"
    with tempfile.TemporaryDirectory(prefix="chatlake-") as folder:
        for left in reversed(range(ATTEMPTS)):
            with (
                closing(_open(lake, folder)) as connection,
                signals.telling_of_stops(connection.interrupt),
            ):
                try:
                    if where is not None:
                        require_condition(connection, where)
                    connection.execute(keys)
                except duckdb.Error as error:
                    if left and has_moved(error, lake.location):
                        continue
                    if where is None or ".parquet" in str(error) or raised_while_reading(error):
                        raise unreadable(error) from error
                    raise _misunderstood(where, error) from error
                yield connection
                return


def _open(lake: Lake, folder: str) -> duckdb.DuckDBPyConnection:
    connection = lake.connect()
    for setting in _SETTINGS:
        connection.execute(setting)
    # A day's files are those of the newest commit, which the views may not show yet, and a run that
    # ends in the meantime may move them.
    paths = [path for path in lake.state.files for path in (path, replaced_path(path))]
    urls = [lake.storage.url(path) for path in paths]
    confine(connection, lake.location, temporary=folder, also=filter(None, urls))
    return connection


@contextmanager
def reading(lake: Lake) -> Iterator[None]:
    """Turn errors of reading a lake into errors for the user.

    ChatlakeError if another run has merged the files or memory is short, else LakeDamagedError.
    """
    try:
        yield
    except (duckdb.Error, LakeDamagedError) as error:
        if lake.was_rewritten():
            raise ChatlakeError(
                "another run has merged the files that were being read",
                hint="Run the command again.",
            ) from error
        if isinstance(error, duckdb.Error):
            raise unreadable(error) from error
        raise


def unreadable(error: duckdb.Error) -> ChatlakeError:
    """Return the error for the user when DuckDB could not read the lake."""
    if raised := raised_while_reading(error):
        return raised
    if isinstance(error, duckdb.OutOfMemoryException):
        return ChatlakeError(
            f"not enough memory, or room for temporary files: {_first_line(error)}",
            hint="Export less at once with --where, or free space in the temporary folder.",
        )
    return LakeDamagedError(f"the lake cannot be read: {_first_line(error)}")


def _checked(where: str) -> str:
    """Return `where` if it is one expression, and nothing more than that."""
    try:
        duckdb.SQLExpression(where)
    except duckdb.Error as error:
        raise _misunderstood(where, _with_place(where) or error) from error
    return where


def _with_place(where: str) -> duckdb.Error | None:
    """Return the error that shows where a condition is wrong; None if there is no such error.

    DuckDB shows the place only within a statement.
    """
    try:
        duckdb.extract_statements(f"SELECT 1 WHERE\n{where}")
    except duckdb.Error as error:
        return error
    return None


def _misunderstood(where: str, error: duckdb.Error) -> SqlError:
    return SqlError(
        f"--where {where!r}: {_first_line(error)}",
        quotation=_place(error),
        hint="Give a condition on the columns of `completions`, such as \"model LIKE 'gpt-4%'\".",
    )


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().partition("\n")[0]


def _place(error: duckdb.Error) -> str:
    """Return DuckDB's line with the caret below it, counted in the condition's own lines."""
    found = _PLACE.search(str(error))
    if found is None or int(found[1]) < 2:
        return ""
    head, number = found[0][: found.start(2) - found.start()], f"LINE {int(found[1]) - 1}: "
    caret = found[3][len(head) - len(number) :]
    return f"{number}{found[2]}\n{caret}"
