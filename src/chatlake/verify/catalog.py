"""The catalogue and the empty files: derived, so nothing is lost, but readers need them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from chatlake.errors import LakeDamagedError, LakeForbiddenError
from chatlake.lake.catalog.ledger import LEDGER
from chatlake.lake.catalog.opening import CATALOG, CatalogStamp, connect, empty_path
from chatlake.lake.catalog.views import VIEWS
from chatlake.lake.files.parts import empty_file, open_part
from chatlake.lake.files.schema import SCHEMAS
from chatlake.model.counts import count
from chatlake.model.manifest import LakeState
from chatlake.storage.local_copy import local_copy
from chatlake.storage.rereading import ATTEMPTS, RereadingStorage, why
from chatlake.verify.file import differing_columns
from chatlake.verify.findings import ALLOW, WRITTEN_ANEW, Finding, split_message

_PATH: Final = re.compile(r"'((?:[^']|'')*\.parquet)'")
_GLOB: Final = re.compile(r"\[([*?\[])\]")
_VIEWS: Final = (
    "SELECT view_name, sql FROM duckdb_views() "
    "WHERE database_name = 'lake' AND schema_name = 'main'"
)


@dataclass(frozen=True, slots=True)
class ShownCatalog:
    """What a catalogue shows: for which place and commit it was built, its views, their files.

    `paths` are relative to the place that it was built for.
    """

    stamp: CatalogStamp
    views: frozenset[str]
    paths: frozenset[str]


def read_catalog(storage: RereadingStorage) -> ShownCatalog | Finding | None:
    """Read all of the catalogue; a finding if it cannot be read, None if it is missing."""
    if storage.local_path(CATALOG) is not None:
        try:
            storage.open_input(CATALOG).close()
        except FileNotFoundError:
            return None
        except LakeForbiddenError as error:
            return Finding(CATALOG, f"cannot be read: {why(error)}", ALLOW, "forbidden")
    for left in reversed(range(ATTEMPTS)):
        try:
            with local_copy(storage, CATALOG) as path:
                return None if path is None else _read(path)
        except duckdb.Error as error:
            if not left:
                reason = str(error).splitlines()[0]
                return Finding(CATALOG, f"cannot be read: {reason}", WRITTEN_ANEW, "unreadable")
        storage.pause()
    raise AssertionError("unreachable")


def is_of_this_lake(shown: ShownCatalog, storage: RereadingStorage) -> bool:
    """Whether any data file that the catalogue shows exists, or it shows none."""
    paths = [path for path in shown.paths if not path.startswith("schema/")]
    return not paths or any(storage.size(path) is not None for path in sorted(paths))


def expected_paths(shown: ShownCatalog, state: LakeState) -> frozenset[str]:
    """Return the files that a catalogue of `state` shows, of the tables that `shown` reads."""
    empties = {empty_path(table): table for table in SCHEMAS if empty_path(table) in shown.paths}
    tables = set(empties.values())
    return frozenset([*empties, *(f.path for f in state.files.values() if f.table in tables)])


def check_catalog(
    shown: ShownCatalog, storage: RereadingStorage, expected: frozenset[str] | None
) -> Iterator[Finding]:
    """Compare with `expected`, what it should show; None if that is not known.

    A catalogue that an older chatlake wrote may lack views, until it is written again.
    """
    own = CatalogStamp.of(storage, shown.stamp.number)
    lacking = set(VIEWS) - shown.views
    if lacking and (shown.stamp.format, shown.stamp.chatlake) == (own.format, own.chatlake):
        problem = f"lacks the views {', '.join(sorted(lacking))}"
        yield Finding(CATALOG, problem, WRITTEN_ANEW, "contradiction")
    if expected is not None and shown.paths != expected:
        more, fewer = len(shown.paths - expected), len(expected - shown.paths)
        problem = (
            f"does not show what commit {shown.stamp.number} lists: "
            f"{count(more, 'file')} too many, {fewer:,} too few"
        )
        yield Finding(CATALOG, problem, WRITTEN_ANEW, "contradiction")


def check_empty_files(storage: RereadingStorage, shown: ShownCatalog | None) -> Iterator[Finding]:
    """Check the files without rows, which the catalogue's views need."""
    for table in SCHEMAS:
        path = empty_path(table)
        try:
            data = storage.read(path)
        except FileNotFoundError:
            if shown is not None and path in shown.paths:
                command = "backup" if storage.local_path(path) is None else "sql 'FROM runs'"
                remedy = f"Run `chatlake {command}` to write it again."
                yield Finding(path, "is missing; the views read it", remedy, "missing")
            continue
        except LakeDamagedError as error:
            yield Finding(*split_message(storage, error.message), WRITTEN_ANEW, "unreadable")
            continue
        own = empty_file(table)
        if data == own:
            continue
        try:
            with open_part(storage, path) as part:
                differing = differing_columns(part.schema_arrow, SCHEMAS[table])
                writer = _writer(part)
        except LakeDamagedError as error:
            yield Finding(*split_message(storage, error.message), WRITTEN_ANEW, "unreadable")
            continue
        with pq.ParquetFile(pa.BufferReader(own)) as part:
            same_writer = writer == _writer(part)
        # In another version its bytes may differ, but not its columns.
        if same_writer or differing is not None:
            yield Finding(path, "was altered", WRITTEN_ANEW, "altered")


def _read(path: str) -> ShownCatalog | Finding:
    with closing(connect(path)) as connection:
        row = connection.execute(
            "SELECT location, number, format, chatlake FROM ledger.lake"
        ).fetchone()
        for table in LEDGER:  # all of its bytes, because DuckDB verifies checksums as it reads
            sql = f"SELECT max(hash(t)) FROM ledger.{table} AS t"  # noqa: S608
            connection.execute(sql).fetchall()
        views = dict(connection.execute(_VIEWS).fetchall())
    if row is None:
        problem = "does not say which lake it belongs to"
        return Finding(CATALOG, problem, WRITTEN_ANEW, "contradiction")
    stamp = CatalogStamp(*row)
    found = {_unquoted(text) for sql in views.values() for text in _PATH.findall(sql)}
    paths = {path.removeprefix(f"{stamp.location}/") for path in found}
    return ShownCatalog(stamp, frozenset(views), frozenset(paths))


def _writer(part: pq.ParquetFile) -> tuple[str | None, bytes | None]:
    metadata = part.metadata.metadata or {}
    return part.metadata.created_by, metadata.get(b"chatlake.version")


def _unquoted(text: str) -> str:
    return _GLOB.sub(r"\1", text.replace("''", "'"))
