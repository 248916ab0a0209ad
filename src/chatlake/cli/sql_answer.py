"""Runs a query on the lake's views and writes the answer."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from chatlake import signals
from chatlake.cli.output import note, say
from chatlake.cli.pager import paged_output
from chatlake.cli.sql_formats import WRITERS, Result, Row, unique, write_table
from chatlake.cli.sql_statements import errors_explained
from chatlake.errors import UsageError
from chatlake.exports.destination import folder_beside, open_export
from chatlake.lake.catalog.confinement import confine
from chatlake.lake.catalog.duckdb_files import has_moved
from chatlake.lake.catalog.only_reading import Question, checked_question
from chatlake.lake.catalog.views import VIEWS, quoted
from chatlake.lake.lake import Lake
from chatlake.model.counts import count

_ROWS_AT_ONCE: Final = 1000
_ATTEMPTS: Final = 3
_DESCRIBE: Final = re.compile(r'\s*DESC(?:RIBE)?\s+"?(\w+)"?\s*', re.IGNORECASE)

T = TypeVar("T")


@contextmanager
def open_for_questions(
    lake: Lake, *, allow_files: bool = False, beside: Path | None = None
) -> Iterator[Questions]:
    """Open the views for queries.

    Only temporary files are written, next to the output file `beside` if there is one.
    `allow_files`: a query may also read files outside the lake. Raises LakeError.
    """
    with folder_beside(beside) as folder:
        questions = Questions(lake, Path(folder), allow_files=allow_files)
        with closing(questions):
            yield questions


class Questions:
    """The views of a lake, open for queries."""

    def __init__(self, lake: Lake, folder: Path, *, allow_files: bool) -> None:
        self.lake = lake
        self.folder = folder
        self._allow_files = allow_files
        lake.answer_despite_losses()
        self.connection = self._connect()

    def close(self) -> None:
        """Close the views."""
        self.connection.close()

    def interrupt(self) -> None:
        """End the running query."""
        self.connection.interrupt()

    def read(self, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Return what `ask` reads from the views; if files have moved, it starts over.

        LakeDamagedError; UsageError for wrong SQL; KeyboardInterrupt if a signal ends it.
        """
        with (
            errors_explained(self.lake.location, VIEWS),
            signals.telling_of_stops(self.interrupt),
        ):
            return self._asked(ask)

    def answer(
        self,
        query: str,
        style: str,
        output: Path | None,
        *,
        paged: bool = False,
        nothing: Callable[[], str] | None = None,
        important: Sequence[str] = (),
        most: int | None = None,
    ) -> None:
        """Write the answer to a query in one of the formats, to a file or standard output.

        `paged`: a table goes through the user's pager. `nothing`: returns the sentence that
        replaces a table without rows. `important`: the columns that a narrow terminal shows, the
        most important first. `most`: rows that are written; if the query gives more, a line to
        standard error says so. DuckDB writes Parquet itself, so there the query has to end at
        `most`, and the line says that there may be more. UsageError for SQL that is wrong or does
        more than read.
        """
        with (
            errors_explained(self.lake.location, VIEWS),
            signals.telling_of_stops(self.interrupt),
            ExitStack() as stack,
        ):
            question = checked_question(self.connection, query)
            if style == "parquet":
                written = self._write_parquet(question, output)
                if most is not None and written >= most:
                    rows = count(most, "row")
                    note(f"{rows} written, and there may be more: see --limit")
                return
            asked = _with_comments(question.text)
            result = stack.enter_context(
                _first(self._asked(lambda connection: _run(connection, asked)), most)
            )
            if style == "table" and question.is_plan:
                style = "plan"
            if style == "table" and output is None:
                if nothing is not None:
                    first = next(iter(result.rows), None)
                    if first is None:
                        say(nothing())
                        return
                    result = replace(result, rows=chain([first], result.rows))
                # Redirected output is never cut: only a terminal has an edge.
                terminal = sys.stdout.isatty()
                width = shutil.get_terminal_size().columns if terminal else None
                with paged_output() if paged else nullcontext(sys.stdout) as stream:
                    write_table(result, stream, width, stream if paged else None, important)
                return
            with open_export(output, is_json=style in ("json", "jsonl")) as file:
                if style == "table":
                    text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
                    write_table(result, text, None)
                    text.detach()
                else:
                    WRITERS[style](result, file)

    def _write_parquet(self, question: Question, output: Path | None) -> int:
        """Return how many rows were written."""
        if not question.is_select:
            raise UsageError(
                "Parquet output is only for the result of a SELECT", hint="Choose another --format."
            )
        with open_export(output, is_json=False) as file:
            path = self.folder / "result.parquet"
            options = "FORMAT parquet, COMPRESSION zstd"
            copy = f"COPY (\n{question.text}\n) TO {quoted(str(path))} ({options})"
            (rows,) = self._asked(lambda connection: connection.execute(copy).fetchone()) or (0,)
            with path.open("rb") as written:
                shutil.copyfileobj(written, file)
        return int(rows)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = self.lake.connect()
        confine(
            connection,
            self.lake.location,
            temporary=str(self.folder),
            allow_files=self._allow_files,
        )
        return connection

    def _asked(self, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Query the views; open them again if a run has moved a file since they were opened."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                return ask(self.connection)
            except duckdb.Error as error:
                if not left or not has_moved(error, self.lake.location):
                    raise
            self.connection.close()
            if not left - 1:  # missing a second time: lost, and not just moved by a run
                self.lake.look_for_losses()
            self.connection = self._connect()
        raise AssertionError("unreachable")


@contextmanager
def _first(result: Result, most: int | None) -> Iterator[Result]:
    """Give the first rows of a result; after the block, say whether there are more."""
    if most is None:
        yield result
        return
    rows = iter(result.rows)
    yield replace(result, rows=islice(rows, most))
    if next(rows, None) is not None:
        note(f"{count(most, 'row')} shown, and there are more: see --limit")


def _with_comments(text: str) -> str:
    """Return DESCRIBE of a view with the comments of its columns, which DuckDB leaves out."""
    match = _DESCRIBE.fullmatch(text)
    if match is None or match[1].lower() not in VIEWS:
        return text
    return f"""
        SELECT d.*, c.comment
        FROM (DESCRIBE {match[1]}) AS d
        LEFT JOIN duckdb_columns() AS c
            ON c.column_name = d.column_name AND c.database_name = 'lake'
            AND c.schema_name = 'main' AND c.table_name = lower({quoted(match[1])})
        ORDER BY c.column_index
    """  # noqa: S608 - the name is one of ours


def _run(connection: duckdb.DuckDBPyConnection, query: str) -> Result:
    """Run a query up to its first rows: by then every file has been found, or an error raised."""
    connection.execute(query)
    description = connection.description or []
    names = unique(str(column[0]) for column in description)
    first = connection.fetchmany(_ROWS_AT_ONCE)
    return Result(names, [str(column[1]) for column in description], _rows(connection, first))


def _rows(connection: duckdb.DuckDBPyConnection, first: Sequence[Row]) -> Iterator[Row]:
    rows = first
    while rows:
        yield from rows
        rows = connection.fetchmany(_ROWS_AT_ONCE)
