"""`catalog.duckdb`: views over exactly the files that one commit lists.

It is built beside the old one and replaces it by rename. Queries that started earlier keep reading
the old commit, and a newly opened catalogue shows the new commit, never a mix. It holds absolute
paths, because DuckDB resolves relative ones from the reader's working directory; `ledger.lake` says
for which place and commit it was built, so a moved lake is noticed.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Final, Self

import duckdb

from chatlake import __version__, failpoints
from chatlake.errors import LakeDamagedError, LakeError, LakeUnwritableError
from chatlake.lake.catalog.duckdb_files import let_read, raised_while_reading
from chatlake.lake.catalog.ledger import ledger_tables, prices_table
from chatlake.lake.catalog.views import (
    VIEWS,
    column_descriptions,
    fill_in,
    quoted,
    reader,
    view_description,
    view_sql,
)
from chatlake.lake.files.parts import empty_file
from chatlake.lake.files.schema import SCHEMAS
from chatlake.model.manifest import FORMAT, LakeState
from chatlake.model.prices import Price, fingerprint
from chatlake.storage.file_errors import too_many_open
from chatlake.storage.interface import Storage

CATALOG: Final = "catalog.duckdb"
# The oldest storage version that DuckDB still writes: every DuckDB since 1.0 opens it.
_STORAGE_VERSION: Final = "v1.0.0"
# Everything that the catalogue needs is in DuckDB's own wheel: never look on the network.
_SETTINGS: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


@dataclass(frozen=True, slots=True)
class CatalogStamp:
    """What a catalogue was built for and by: the lake's place, commit and format; the version.

    Stamps with other `prices` are equal: only `is_current` tells them apart.
    """

    location: str
    number: int
    format: int = FORMAT
    chatlake: str = __version__
    prices: str = field(default="", compare=False)

    @classmethod
    def of(cls, storage: Storage, number: int, prices: Sequence[Price] = ()) -> Self:
        """Return the stamp of a catalogue that this chatlake builds there for this commit."""
        return cls(storage.location, number, prices=fingerprint(prices))

    def is_current(self, other: CatalogStamp | None) -> bool:
        """Say whether another catalogue is the same, its prices included."""
        return other == self and other.prices == self.prices


def connect(path: str, storage: Storage | None = None) -> duckdb.DuckDBPyConnection:
    """Open the catalogue at `path` read-only, TimeZone UTC; `storage`: where its files are.

    It uses a separate database, because DuckDB would otherwise return one that this process opened
    before the swap. Raises duckdb.Error if there is no catalogue, or a corrupt one.
    """
    connection = duckdb.connect(config=dict(_SETTINGS))
    try:
        if storage is not None:
            let_read(connection, storage)
        with _attachable(path) as name:
            connection.execute(f"ATTACH {quoted(name)} AS lake (READ_ONLY)")
        connection.execute("USE lake")
        connection.execute("SET TimeZone = 'UTC'")
        # Part files never change; with hundreds of days, most of a look-up is reading footers.
        connection.execute("SET parquet_metadata_cache = true")
    except duckdb.Error:
        connection.close()
        raise
    return connection


@contextmanager
def _attachable(path: str) -> Iterator[str]:
    """Give a name of the file without a backslash, which DuckDB would turn into `/`."""
    if "\\" not in path:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="chatlake-") as folder:
        link = Path(folder) / "lake"
        link.symlink_to(Path(path).parent)
        yield str(link / Path(path).name)


def read_stamp(path: str) -> CatalogStamp | None:
    """Return what the catalogue at `path` was built for; None if it is missing or corrupt."""
    try:
        if not Path(path).is_file():
            return None
        with closing(connect(path)) as connection:
            row = connection.execute(
                "SELECT location, number, format, chatlake, prices FROM ledger.lake"
            ).fetchone()
    except (OSError, duckdb.Error):
        return None
    return None if row is None else CatalogStamp(*row)


def empty_path(table: str) -> str:
    """Return the path of the file with the table's columns and no rows."""
    return f"schema/{table}/source=none/created_date=1970-01-01/empty.parquet"


def empty_file_of(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return the path of the empty file that gives a table's view its columns."""
    ((sql,),) = connection.execute(
        "SELECT sql FROM duckdb_views() WHERE database_name = 'lake' AND view_name = ?", [table]
    ).fetchall()
    paths: list[str] = re.findall(r"'((?:[^']|'')*)'", sql)
    # The first of the list: the lake's path may hold a star or a bracket, the empty one's name not.
    found = next(path for path in paths if path.endswith(empty_path(table)))
    return re.sub(r"\[([*?\[])\]", r"\1", found.replace("''", "'"))


def build_catalog(
    storage: Storage, state: LakeState, empties: Storage, prices: Sequence[Price] = ()
) -> bytes:
    """Return a catalogue with all views over the files of `state`, as the bytes of its file.

    `prices` are those of the view `costs`. `empties` holds the empty files (see
    `empty_path`): every view needs at least one file.
    LakeUnwritableError if there is no room for temporary files, LakeDamagedError if a listed file
    is missing.
    """
    readers = {
        table: reader(
            [
                _url(empties, empty_path(table)),
                *(_url(storage, file.path) for file in state.table_files(table)),
            ]
        )
        for table in SCHEMAS
    }
    try:
        with tempfile.TemporaryDirectory(prefix="chatlake-") as folder:
            path = Path(folder) / CATALOG
            _build(str(path), storage, state, readers, prices)
            data = path.read_bytes()
    except OSError as error:
        if limit := too_many_open(error):
            raise limit from error
        raise LakeUnwritableError(f"Cannot build the catalogue: {error}") from error
    except duckdb.Error as error:
        if raised := raised_while_reading(error):
            raise raised from error
        why = str(error).splitlines()[0]
        raise LakeDamagedError(f"Cannot build the catalogue: {why}") from error
    failpoints.reach("catalog.built")
    return data


def _build(
    path: str,
    storage: Storage,
    state: LakeState,
    readers: dict[str, str],
    prices: Sequence[Price],
) -> None:
    stamp = CatalogStamp.of(storage, state.number, prices)
    empties = {empty_path(table): empty_file(table) for table in SCHEMAS}
    with closing(duckdb.connect(config=dict(_SETTINGS))) as connection:
        let_read(connection, storage, empties)
        run = connection.execute
        run(f"ATTACH {quoted(path)} AS lake (STORAGE_VERSION '{_STORAGE_VERSION}')")
        run("USE lake")
        run("BEGIN")
        run("CREATE SCHEMA ledger")
        run(
            "CREATE TABLE ledger.lake "
            "(location VARCHAR, number BIGINT, format INTEGER, chatlake VARCHAR, prices VARCHAR)"
        )
        run("INSERT INTO ledger.lake VALUES (?, ?, ?, ?, ?)", astuple(stamp))
        tables = {**ledger_tables(state), "prices": prices_table(prices)}
        for name, rows in tables.items():
            connection.register("ledger_rows", rows)
            run(f"CREATE TABLE ledger.{name} AS FROM ledger_rows")
            connection.unregister("ledger_rows")
        for view in VIEWS:
            run(fill_in(view_sql(view), readers))
            run(f"COMMENT ON VIEW {view} IS {quoted(view_description(view))}")
        columns = run(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE database_name = 'lake' AND schema_name = 'main'"
        ).fetchall()
        for view, column in columns:
            text = column_descriptions(view)[column]
            run(f'COMMENT ON COLUMN {view}."{column}" IS {quoted(text)}')
        run("COMMIT")
        run("USE memory")
        run("DETACH lake")


def _url(storage: Storage, path: str) -> str:
    url = storage.url(path)
    if url is None:
        raise LakeError(f"DuckDB cannot read {storage.location}")
    return url
