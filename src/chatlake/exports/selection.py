"""Which completions an export takes: a condition in SQL, on the lake's views."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import duckdb

from chatlake.errors import ChatlakeError, LakeDamagedError, UsageError
from chatlake.lake.catalog.duckdb_files import raised_while_reading
from chatlake.lake.catalog.only_reading import confine, require_condition
from chatlake.lake.catalog.views import quoted
from chatlake.lake.lake import Lake

_KEYS = "SELECT source, completion_id, created_date FROM completions"
# The condition stands below the first line of each statement.
_PLACE = re.compile(r"^LINE (\d+): (.*)\n( *\^)", re.MULTILINE)
# Each thread holds a part of a row group; two read a lake as fast as a disk writes.
_SETTINGS = ("SET memory_limit = '1GB'", "SET threads = 2")


@contextmanager
def selected(
    lake: Lake, *, where: str | None = None, sources: Sequence[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the views, with a table `selected` (source, completion_id, created_date) beside them.

    It holds what meets `where`, a condition on the view `completions`, and belongs to `sources`;
    None means all. UsageError where `where` is no condition that DuckDB understands.
    """
    condition = "true" if where is None else _checked(where)
    names = ", ".join(map(quoted, sources or ()))
    of_source = "true" if sources is None else f"list_contains([{names}]::VARCHAR[], source)"
    with (
        tempfile.TemporaryDirectory(prefix="chatlake-") as folder,
        closing(lake.connect()) as connection,
    ):
        for setting in _SETTINGS:
            connection.execute(setting)
        # What is read of a day is what the newest commit lists, which the views may not show yet.
        files = [lake.storage.url(file.path) for file in lake.state.files.values()]
        confine(connection, lake.location, temporary=folder, also=filter(None, files))
        try:
            if where is not None:
                require_condition(connection, where)
            # The line break ends a comment. `condition` was checked, the names are quoted.
            connection.execute(
                f"CREATE TEMP TABLE selected AS {_KEYS} WHERE {of_source} AND (\n{condition}\n)"
            )
        except duckdb.Error as error:
            if where is None or ".parquet" in str(error) or raised_while_reading(error):
                raise unreadable(error) from error
            raise _misunderstood(where, error) from error
        yield connection


def unreadable(error: duckdb.Error) -> ChatlakeError:
    """Return what it means for the user that DuckDB could not read the lake."""
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
    """Return the error that says where a text stops being a condition; None if only another does.

    DuckDB shows the place in a statement alone.
    """
    try:
        duckdb.extract_statements(f"SELECT 1 WHERE\n{where}")
    except duckdb.Error as error:
        return error
    return None


def _misunderstood(where: str, error: duckdb.Error) -> UsageError:
    return UsageError(
        f"--where {where!r}: {_first_line(error)}{_place(error)}",
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
    return f"\n{number}{found[2]}\n{caret}"
