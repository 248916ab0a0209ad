"""Runs a query on the lake's views and writes the answer."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import duckdb

from chatlake import signals
from chatlake.cli.pager import paged_output
from chatlake.cli.sql_formats import WRITERS, Result, Row, unique, write_table
from chatlake.cli.sql_statements import errors_explained
from chatlake.errors import UsageError
from chatlake.exports.output import folder_beside, open_export
from chatlake.lake.catalog.only_reading import Question, checked_question, confine
from chatlake.lake.catalog.views import VIEWS, quoted
from chatlake.lake.lake import Lake

_ROWS_AT_ONCE = 1000


@contextmanager
def open_for_questions(
    lake: Lake, *, allow_files: bool = False, beside: Path | None = None
) -> Iterator[Questions]:
    """Open the views to ask them: nothing is written but to a temporary folder, beside a file.

    `allow_files`: a query may read other files too. LakeError.
    """
    with folder_beside(beside) as folder, closing(lake.connect()) as connection:
        confine(connection, lake.location, temporary=folder, allow_files=allow_files)
        yield Questions(lake, connection, Path(folder))


@dataclass(frozen=True, slots=True)
class Questions:
    """The views of a lake, open to be asked."""

    lake: Lake
    connection: duckdb.DuckDBPyConnection
    folder: Path

    def answer(self, query: str, style: str, output: Path | None, *, paged: bool = False) -> None:
        """Write the answer to a query in one of the formats, to a file or standard output.

        `paged`: a table goes through the user's pager. UsageError for SQL that is wrong or does
        more than read.
        """
        with (
            errors_explained(self.lake.location, VIEWS),
            signals.telling_of_stops(self.connection.interrupt),
        ):
            question = checked_question(self.connection, query)
            if style == "parquet":
                self._write_parquet(question, output)
                return
            result = _run(self.connection, question.text)
            if style == "table" and question.is_plan:
                style = "plan"
            if style == "table" and output is None:
                # What is redirected stays whole: only a terminal has an edge.
                terminal = sys.stdout.isatty()
                width = shutil.get_terminal_size().columns if terminal else None
                with paged_output() if paged else nullcontext(sys.stdout) as stream:
                    write_table(result, stream, width, stream if paged else None)
                return
            with open_export(output, is_json=style in ("json", "jsonl")) as file:
                if style == "table":
                    text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
                    write_table(result, text, None)
                    text.detach()
                else:
                    WRITERS[style](result, file)

    def _write_parquet(self, question: Question, output: Path | None) -> None:
        if not question.is_select:
            raise UsageError(
                "Parquet holds the result of a SELECT", hint="Choose another --format."
            )
        with open_export(output, is_json=False) as file:
            path = self.folder / "result.parquet"
            options = "FORMAT parquet, COMPRESSION zstd"
            self.connection.execute(
                f"COPY (\n{question.text}\n) TO {quoted(str(path))} ({options})"
            )
            with path.open("rb") as written:
                shutil.copyfileobj(written, file)


def _run(connection: duckdb.DuckDBPyConnection, query: str) -> Result:
    connection.execute(query)
    description = connection.description or []
    names = unique(str(column[0]) for column in description)
    return Result(names, [str(column[1]) for column in description], _rows(connection))


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    while rows := connection.fetchmany(_ROWS_AT_ONCE):
        yield from rows
