"""Runs a query on the lake's views and writes the answer."""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb

from chatlake.cli.sql_formats import WRITERS, Result, Row, unique, write_table
from chatlake.cli.sql_statements import checked_statement, errors_explained
from chatlake.errors import UsageError
from chatlake.exports.output import open_export
from chatlake.lake.lake import Lake
from chatlake.lake.views import VIEWS, quoted

_ROWS_AT_ONCE = 1000
_END = re.compile(r";(\s|--[^\n]*|/\*.*?\*/)*\Z", re.DOTALL)


def write_answer(lake: Lake, query: str, style: str, output: Path | None) -> None:
    """Write the answer to a query in one of the formats, to a file or standard output.

    UsageError for SQL that is wrong or does more than read.
    """
    with closing(lake.connect()) as connection, errors_explained(lake.location, VIEWS):
        statement = checked_statement(connection, query)
        if style == "parquet":
            _write_parquet(connection, statement, output)
            return
        result = _run(connection, statement)
        if style == "table" and statement.type == duckdb.StatementType.EXPLAIN:
            style = "plan"
        if style == "table" and output is None:
            # What is redirected stays whole: only a terminal has an edge.
            terminal = sys.stdout.isatty()
            write_table(
                result, sys.stdout, shutil.get_terminal_size().columns if terminal else None
            )
            return
        with open_export(output, is_json=style in ("json", "jsonl")) as file:
            if style == "table":
                text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
                write_table(result, text, None)
                text.detach()
            else:
                WRITERS[style](result, file)


def _run(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> Result:
    connection.execute(statement)
    description = connection.description or []
    names = unique(str(column[0]) for column in description)
    return Result(names, [str(column[1]) for column in description], _rows(connection))


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    while rows := connection.fetchmany(_ROWS_AT_ONCE):
        yield from rows


def _terminal_width() -> int | None:
    """Return how wide a table may be; what is redirected stays whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _write_parquet(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, output: Path | None
) -> None:
    if statement.type != duckdb.StatementType.SELECT:
        raise UsageError("Parquet holds the result of a SELECT", hint="Choose another --format.")
    query = _END.sub("", statement.query)

    with open_export(output, is_json=False) as file, _folder_near(output) as folder:
        path = Path(folder) / "result.parquet"
        options = "FORMAT parquet, COMPRESSION zstd"
        connection.execute(f"COPY (\n{query}\n) TO {quoted(str(path))} ({options})")
        with path.open("rb") as written:
            shutil.copyfileobj(written, file)


def _folder_near(output: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder: beside a file, since there is room for the result."""
    beside = output is not None and (output.is_file() or not output.exists())
    place = output.resolve().parent if output is not None and beside else None
    return tempfile.TemporaryDirectory(prefix="_chatlake-", dir=place)
