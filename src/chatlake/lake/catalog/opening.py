"""Opening a catalogue: read-only, in a database of its own, and what it was built for.

This module does not import Arrow, so that a question to the views starts quickly.
"""

from __future__ import annotations

import atexit
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, Self

import duckdb

from chatlake import __version__
from chatlake.lake.catalog.duckdb_files import let_read
from chatlake.lake.catalog.views import quoted
from chatlake.model.manifest import FORMAT, PartFile
from chatlake.model.prices import Price, fingerprint
from chatlake.storage.interface import Storage

CATALOG: Final = "catalog.duckdb"
# Everything that the catalogue needs is in DuckDB's own wheel: never look on the network.
SETTINGS: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


@dataclass(frozen=True, slots=True)
class CatalogStamp:
    """What a catalogue was built for and by: the lake's place, commit and format; the version.

    Stamps with other `prices` are equal: only `has_prices` tells them apart.
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

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection) -> Self | None:
        """Return what an open catalogue was built for; raises duckdb.Error if it does not say."""
        row = connection.execute(
            "SELECT location, number, format, chatlake, prices FROM ledger.lake"
        ).fetchone()
        return None if row is None else cls(*row)

    def has_prices(self, prices: Sequence[Price] | None) -> bool:
        """Say whether the catalogue reckons with these prices; None: any will do."""
        return prices is None or self.prices == fingerprint(prices)


def connect(
    path: str, storage: Storage | None = None, listed: Mapping[str, PartFile] | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the catalogue at `path` read-only, TimeZone UTC; `storage`: where its files are.

    `listed`: the files of its commit, by path, if the caller knows them; then those of a bucket
    take fewer requests.

    It uses a separate database, because DuckDB would otherwise return one that this process opened
    before the swap. Raises duckdb.Error if there is no catalogue, or a corrupt one.
    """
    connection = duckdb.connect(config=dict(SETTINGS))
    try:
        if storage is not None:
            let_read(connection, storage, listed=listed)
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


class _Kept:
    """A database in memory that this process keeps, to attach catalogues to for a moment.

    To start one takes five times as long as to read a few rows of a catalogue in it. It has no
    threads of its own. A process that was forked starts another.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._base: duckdb.DuckDBPyConnection | None = None
        self._of_parent: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for one user at a time, who detaches what it attaches."""
        with self._lock:
            if self._base is None:
                self._base = duckdb.connect(config={**SETTINGS, "threads": "1"})
            try:
                with closing(self._base.cursor()) as connection:
                    yield connection
            except BaseException:  # a corrupt catalogue may spoil the database
                self._base = None
                raise

    def begin_in_child(self) -> None:
        """Leave the parent's database alone: a thread that is not here may have held its locks."""
        self._lock = Lock()
        self._of_parent, self._base = self._base, None

    def let_go(self) -> None:
        """Keep no database any longer: one that is left when Python ends is reported as a leak."""
        self._of_parent = self._base = None


_KEPT: Final = _Kept()
os.register_at_fork(after_in_child=_KEPT.begin_in_child)
atexit.register(_KEPT.let_go)


def kept_connection() -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Give a connection to a database in memory that this process keeps; others wait for it.

    The block detaches what it attaches. It can read no files but those that DuckDB itself reads.
    """
    return _KEPT.connection()


@contextmanager
def _attached(path: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to the catalogue at `path` for a moment; raises duckdb.Error, OSError."""
    with kept_connection() as connection, _attachable(path) as name:
        connection.execute(f"ATTACH {quoted(name)} AS lake (READ_ONLY)")
        connection.execute("USE lake")
        yield connection
        connection.execute("USE memory")
        connection.execute("DETACH lake")


def read_stamp(path: str) -> CatalogStamp | None:
    """Return what the catalogue at `path` was built for; None if it is missing or corrupt."""
    try:
        if not Path(path).is_file():
            return None
        with _attached(path) as connection:
            return CatalogStamp.read(connection)
    except (OSError, duckdb.Error):
        return None


def read_prices(path: str) -> tuple[Price, ...]:
    """Return the prices of the catalogue at `path`; none if it is missing, corrupt or older."""
    try:
        if not Path(path).is_file():
            return ()
        with _attached(path) as connection:
            rows = connection.execute(
                "SELECT model, valid_from, input, cached_input, output FROM ledger.prices"
            ).fetchall()
    except (OSError, duckdb.Error):
        return ()
    return tuple(Price(*row) for row in rows)


def empty_path(table: str) -> str:
    """Return the path of the file with the table's columns and no rows."""
    return f"schema/{table}/source=none/created_date=1970-01-01/empty.parquet"


def empty_file_of(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return the path of the empty file that gives a table's view its columns."""
    ((sql,),) = connection.execute(
        "SELECT sql FROM duckdb_views() WHERE database_name = 'lake' AND view_name = ?", [table]
    ).fetchall()
    paths: list[str] = re.findall(r"'((?:[^']|'')*)'", sql)
    # Compared by the end, because stars and brackets in the lake's path are escaped.
    found = next(path for path in paths if path.endswith(empty_path(table)))
    return re.sub(r"\[([*?\[])\]", r"\1", found.replace("''", "'"))
