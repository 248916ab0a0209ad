"""The tables of one day as DuckDB reads them: just that day's files, wherever they are now.

The views name the files of every day, and DuckDB looks each of them up for each query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import duckdb

from chatlake.errors import LakeError
from chatlake.exports.selection import ATTEMPTS
from chatlake.lake.catalog.duckdb_files import has_moved
from chatlake.lake.catalog.opening import empty_file_of
from chatlake.lake.catalog.views import reader
from chatlake.lake.files.parts import open_part
from chatlake.lake.files.replaced import url_of_listed
from chatlake.lake.files.unaltered import require_unaltered
from chatlake.lake.lake import Lake
from chatlake.model.manifest import PartFile
from chatlake.model.partitions import Partition
from chatlake.model.tables import COMPLETIONS

T = TypeVar("T")


class DayTables:
    """The files of some tables in some partitions, and SQL expressions that read them."""

    def __init__(
        self, lake: Lake, connection: duckdb.DuckDBPyConnection, tables: Sequence[str]
    ) -> None:
        self._files: list[PartFile] = []
        self._lake = lake
        self._empties = {table: empty_file_of(connection, table) for table in tables}

    def turn_to(self, partitions: Iterable[Partition]) -> None:
        """Read these partitions from now on.

        LakeDamagedError if one of their files is missing, or has other bytes than were committed:
        no text of an altered file is given out as what the API sent.
        """
        listed = [file for each in partitions for file in self._lake.state.partition_files(each)]
        self._files = [file for file in listed if file.table in self._empties]
        for file in self._files:
            require_unaltered(self._lake.storage, file)

    def completions_within(self, size: int, *tables: str) -> int:
        """Return how many completions have `size` bytes before compression, by their average.

        `tables`: count only the bytes of these; by default those of all.
        """
        count = total = 0
        for file in self._files:
            count += file.rows if file.table == COMPLETIONS else 0
            if tables and file.table not in tables:
                continue
            with open_part(self._lake.storage, file.path, size=file.bytes) as part:
                groups = map(part.metadata.row_group, range(part.num_row_groups))
                total += sum(group.total_byte_size for group in groups)
        return max(1, size * count // max(1, total))

    def ask(self, question: Callable[[dict[str, str]], T]) -> T:
        """Call `question` with an expression for each table; again if a run has moved a file.

        duckdb.Error of the last attempt; LakeError if DuckDB cannot read the place.
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                return question(self._expressions())
            except duckdb.Error as error:
                if not left or not has_moved(error, self._lake.location):
                    raise
        raise AssertionError("unreachable")

    def _expressions(self) -> dict[str, str]:
        return {
            table: reader(
                [empty, *(self._url(file) for file in self._files if file.table == table)]
            )
            for table, empty in self._empties.items()
        }

    def _url(self, file: PartFile) -> str:
        url = url_of_listed(self._lake.storage, file.path)
        if url is None:
            raise LakeError(f"DuckDB cannot read {self._lake.location}")
        return url
