"""The statements that make a catalogue, and a template that spares a process most of them.

Nine tenths of the work are the views and a comment for each of their columns. Few views name files;
the others are the same in every lake. So a process that builds catalogues again and again copies a
template, a catalogue of an empty lake, and creates in the copy only the views that name files. The
template holds nothing of any lake: what a lake forgets cannot survive in it. The copy is a block
larger than a catalogue from nothing, because DuckDB does not reuse the room of the replaced views.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from chatlake.lake.catalog.descriptions import column_descriptions
from chatlake.lake.catalog.ledger import LEDGER, prices_table
from chatlake.lake.catalog.opening import CATALOG, empty_path, kept_connection
from chatlake.lake.catalog.views import (
    VIEWS,
    fill_in,
    names_files,
    quoted,
    reader,
    view_description,
    view_sql,
)
from chatlake.lake.files.parts import empty_file
from chatlake.lake.files.schema import SCHEMAS

# The oldest storage version that DuckDB still writes: every DuckDB since 1.0 opens it.
_STORAGE_VERSION: Final = "v1.0.0"
_WITHOUT_TEMPLATE: Final = 2


@dataclass(frozen=True, slots=True)
class Template:
    """The bytes of a catalogue of an empty lake, and the columns of its views that name files."""

    data: bytes
    columns: tuple[tuple[str, str], ...]


class Templates:
    """Makes the template when a process builds its third catalogue.

    It takes as long as a catalogue from nothing. A run of some seconds builds one or two.
    """

    def __init__(self) -> None:
        """Start without a template."""
        self._built = 0
        self._template: Template | None = None

    def next(self) -> Template | None:
        """Return the template for the next catalogue; None for the first and the second."""
        if self._built == _WITHOUT_TEMPLATE and self._template is None:
            self._template = _make_template()
        self._built += self._template is None
        return self._template


def write_catalog(
    connection: duckdb.DuckDBPyConnection,
    path: str,
    readers: Mapping[str, str],
    tables: Mapping[str, pa.Table],
    template: Template | None = None,
) -> tuple[tuple[str, str], ...]:
    """Write a catalogue to `path` and return the columns of its views, each with its view.

    `readers`: the expression that reads each table's files; `tables`: the ledger, by name. With a
    `template` only the columns of the views that name files are returned. Raises duckdb.Error.
    """
    if template:
        Path(path).write_bytes(template.data)
    run = connection.execute
    run(f"ATTACH {quoted(path)} AS lake (STORAGE_VERSION '{_STORAGE_VERSION}')")
    run("USE lake")
    run("BEGIN")
    run("CREATE SCHEMA IF NOT EXISTS ledger")
    for name, rows in tables.items():
        connection.register("ledger_rows", rows)
        run(f"CREATE OR REPLACE TABLE ledger.{name} AS FROM ledger_rows")
        connection.unregister("ledger_rows")
    # Scripts, because DuckDB takes longer to begin a statement than to run most of these.
    run("\n".join(_statements(filter(names_files, VIEWS) if template else VIEWS, readers)))
    columns = template.columns if template else _columns(connection)
    run("\n".join(_comments(columns)))
    run("COMMIT")
    run("USE memory")
    run("DETACH lake")
    return columns


def _statements(views: Iterable[str], readers: Mapping[str, str]) -> Iterator[str]:
    for view in views:
        yield f"DROP VIEW IF EXISTS {view};"
        yield fill_in(view_sql(view), readers)
        yield f"COMMENT ON VIEW {view} IS {quoted(view_description(view))};"


def _comments(columns: Iterable[tuple[str, str]]) -> Iterator[str]:
    for view, found in groupby(columns, key=itemgetter(0)):
        texts = column_descriptions(view)
        for _, column in found:
            yield f'COMMENT ON COLUMN {view}."{column}" IS {quoted(texts[column])};'


def _columns(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, str], ...]:
    return tuple(
        connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE database_name = 'lake' AND schema_name = 'main'"
        ).fetchall()
    )


def _make_template() -> Template:
    ledger = {name: schema.empty_table() for name, schema in LEDGER.items()}
    with (
        tempfile.TemporaryDirectory(prefix="chatlake-") as folder,
        kept_connection() as connection,
    ):
        readers = {}
        for table in SCHEMAS:
            empty = Path(folder, empty_path(table))
            empty.parent.mkdir(parents=True)
            empty.write_bytes(empty_file(table))
            readers[table] = reader([str(empty)])
        path = Path(folder, CATALOG)
        columns = write_catalog(
            connection, str(path), readers, {**ledger, "prices": prices_table(())}
        )
        data = path.read_bytes()
    return Template(data, tuple(each for each in columns if names_files(each[0])))
