"""`catalog.duckdb`: views over exactly the files that one commit lists.

It is built beside the old one and replaces it by rename. Queries that started earlier keep reading
the old commit, and a newly opened catalogue shows the new commit, never a mix. It holds absolute
paths, because DuckDB resolves relative ones from the reader's working directory; `ledger.lake` says
for which place and commit it was built, so a moved lake is noticed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from chatlake import failpoints
from chatlake.errors import LakeDamagedError, LakeError, LakeUnwritableError
from chatlake.lake.catalog.duckdb_files import let_read, raised_while_reading
from chatlake.lake.catalog.ledger import ledger_tables, prices_table
from chatlake.lake.catalog.opening import (
    CATALOG,
    SETTINGS,
    CatalogStamp,
    empty_path,
    kept_connection,
)
from chatlake.lake.catalog.views import reader
from chatlake.lake.catalog.writing import Templates, write_catalog
from chatlake.lake.files.losses import Losses
from chatlake.lake.files.parts import empty_file
from chatlake.lake.files.schema import COUNT, SCHEMAS, TEXT
from chatlake.model.manifest import LakeState
from chatlake.model.prices import Price
from chatlake.storage.file_errors import too_many_open
from chatlake.storage.interface import Storage

_TEMPLATES: Final = Templates()
_STAMP: Final[dict[str, pa.DataType]] = {
    "location": TEXT, "number": COUNT, "format": pa.int32(), "chatlake": TEXT, "prices": TEXT,
}  # fmt: skip
_NO_LOSSES: Final = Losses()


def build_catalog(
    storage: Storage,
    state: LakeState,
    empties: Storage,
    prices: Sequence[Price] = (),
    losses: Losses = _NO_LOSSES,
) -> bytes:
    """Return a catalogue with all views over the files of `state`, as the bytes of its file.

    `prices` are those that the view `costs` reckons with. `empties` holds the empty files (see
    `empty_path`): every view needs one file at least. `losses`: files that are not at their path.
    LakeUnwritableError if there is no room for temporary files, LakeDamagedError if a listed file
    is missing, OpenFilesError, LakeError if DuckDB cannot read this storage.
    """
    readers = {
        table: reader(
            [
                _url(empties, empty_path(table)),
                *(
                    _url(storage, place)
                    for file in state.table_files(table)
                    if (place := losses.place_of(file.path)) is not None
                ),
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
    empties = {empty_path(table): empty_file(table) for table in SCHEMAS}
    # A copied template makes the catalogue 256 KiB larger, and to a bucket that is uploaded.
    template = None if storage.local_path(CATALOG) is None else _TEMPLATES.next()
    with _connection(storage) as connection:
        let_read(connection, storage, empties)
        stamp = asdict(CatalogStamp.of(storage, state.number, prices))
        tables = {
            "lake": pa.Table.from_pylist([stamp], schema=pa.schema(_STAMP)),
            **ledger_tables(state),
            "prices": prices_table(prices),
        }
        write_catalog(connection, path, readers, tables, template)


def _connection(storage: Storage) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Give the connection to build in: a new one if DuckDB reads the files through us."""
    if storage.local_path(CATALOG) is not None:
        return kept_connection()
    return closing(duckdb.connect(config=dict(SETTINGS)))


def _url(storage: Storage, path: str) -> str:
    url = storage.url(path)
    if url is None:
        raise LakeError(f"DuckDB cannot read {storage.location}")
    return url
