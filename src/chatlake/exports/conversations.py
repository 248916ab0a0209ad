"""Completions with their messages as the API sent them, oldest first, in slices of a day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import duckdb

from chatlake.backup.lake_port import StoredVersion
from chatlake.errors import LakeDamagedError
from chatlake.exports.day_tables import DayTables
from chatlake.lake.lake import Lake
from chatlake.model.counts import count
from chatlake.model.partitions import Partition
from chatlake.model.tables import COMPLETIONS, MESSAGES

_SLICE_BYTES: Final = 256 << 20  # about 450 MB of memory
_ROWS_AT_ONCE: Final = 256

# Oldest first. Within one second, the order does not depend on how the lake is cut into files,
# so two exports of the same data are the same bytes.
_NUMBER_A_DAY: Final = """
CREATE OR REPLACE TEMP TABLE day AS
SELECT source, completion_id, created_at,
    row_number() OVER (ORDER BY created_at NULLS FIRST, source, completion_id) - 1 AS place
FROM {completions} SEMI JOIN (FROM selected WHERE created_date = $day) AS selected
    USING (source, completion_id, created_date)
WHERE created_date = $day
"""
_DAYS: Final = """
SELECT created_date, list_sort(list(DISTINCT source)) FROM selected GROUP BY ALL ORDER BY ALL
"""
_SPAN: Final = """
SELECT min(created_at), max(created_at)
FROM day
WHERE place BETWEEN $first AND $last
HAVING count(created_at) = count(*)
"""
# The completion, then its messages. The completion contains the replies. So the row of a reply has
# only what `/messages` repeated of it, or NULL.
_READ_A_SLICE: Final = """
SELECT place, source, completion_id, message_count, held, sent
FROM (FROM day WHERE place BETWEEN $first AND $last) JOIN (
    SELECT source, completion_id, -1 AS position, message_count, coalesce(held, 0) AS held,
        coalesce(raw_exact, raw::VARCHAR) AS sent
    FROM {completions} LEFT JOIN (
        SELECT source, completion_id, count(*) AS held
        FROM {messages}
        WHERE {condition}
        GROUP BY ALL
    ) USING (source, completion_id)
    WHERE {condition}
    UNION ALL
    SELECT source, completion_id, message_index, NULL, NULL,
        CASE direction
            WHEN 'input' THEN coalesce(raw_exact, raw::VARCHAR) ELSE echo_raw::VARCHAR
        END
    FROM {messages}
    WHERE {condition}
) USING (source, completion_id)
ORDER BY place, position
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One completion as stored: texts with references in place of images.

    `raw` is None if a lost file left only the messages; then their number is unknown.
    `message_count` is also None if the messages could not be fetched; `held` is how many of them
    the lake has. `messages` can be iterated once: what `/messages` sent, in order, and None for
    each reply that it did not send.
    """

    partition: Partition
    completion_id: str
    message_count: int | None
    held: int
    raw: str | None
    messages: Iterator[str | None]


def read_conversations(lake: Lake, connection: duckdb.DuckDBPyConnection) -> Iterator[Conversation]:
    """Yield what `connection` has in its table `selected` (see `selection`).

    Each must be read to its end before the next. Raises duckdb.Error or LakeDamagedError if the
    lake is damaged: text from an altered file is never passed on as what the API sent.
    """
    tables = DayTables(lake, connection, (COMPLETIONS, MESSAGES))
    for day, sources in connection.execute(_DAYS).fetchall():
        tables.turn_to(Partition(source, str(day)) for source in sources)
        count = _number_a_day(connection, tables, day)
        step = tables.completions_within(_SLICE_BYTES)
        for first in range(0, count, step):
            places = {"first": first, "last": first + step - 1}
            rows = _read_slice(connection, tables, day, places)
            for _, conversation in groupby(rows, key=itemgetter(0)):
                yield _conversation(conversation, day)


def _conversation(rows: Iterator[tuple[Any, ...]], day: date) -> Conversation:
    _, source, completion_id, message_count, held, raw = next(rows)
    messages = map(itemgetter(-1), rows)
    partition = Partition(source, str(day))
    return Conversation(partition, completion_id, message_count, held, raw, messages)


def _number_a_day(connection: duckdb.DuckDBPyConnection, tables: DayTables, day: date) -> int:
    """Put what is selected of a day in order, and return how many completions these are."""
    tables.ask(lambda names: connection.execute(_NUMBER_A_DAY.format(**names), {"day": day}))
    (count,) = connection.execute("SELECT count(*) FROM day").fetchall()[0]
    return int(count)


def _read_slice(
    connection: duckdb.DuckDBPyConnection,
    tables: DayTables,
    day: date,
    places: dict[str, Any],
) -> Iterator[tuple[Any, ...]]:
    condition, parameters = "created_date = $day", {"day": day, **places}
    # The time lets DuckDB skip the rest of the day's rows, unless a row of the slice has no time.
    for low, high in connection.execute(_SPAN, places).fetchall():
        condition += " AND created_at BETWEEN $low AND $high"
        parameters |= {"low": low, "high": high}

    def first_rows(names: dict[str, str]) -> list[tuple[Any, ...]]:
        # The rows are sorted, so the first comes only after every file has been read.
        sql = _READ_A_SLICE.format(condition=condition, **names)
        return connection.execute(sql, parameters).fetchmany(_ROWS_AT_ONCE)

    rows = tables.ask(first_rows)
    while rows:
        yield from rows
        rows = connection.fetchmany(_ROWS_AT_ONCE)


class MissingMessages:
    """Says of each completion whether the lake has all its messages, or is known to lack some.

    It checks one after another, and remembers the versions of one partition.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions_of: Partition | None = None
        self._versions: dict[str, StoredVersion] = {}

    def of(self, conversation: Conversation) -> bool:
        """Whether messages are known to be missing; LakeDamagedError if no record explains it."""
        expected = conversation.message_count
        if conversation.raw is None:
            return not conversation.held
        if expected == conversation.held:
            return False
        if expected is not None and not self._is_incomplete(conversation):
            raise LakeDamagedError(
                f"completion {conversation.completion_id} of {conversation.partition.source} has "
                f"{count(expected, 'message')}, of which the lake holds {conversation.held:,}"
            )
        return True

    def _is_incomplete(self, conversation: Conversation) -> bool:
        """Whether a file with its messages was lost, and the source may no longer have them."""
        if self._versions_of != conversation.partition:
            self._versions_of = conversation.partition
            self._versions = self._lake.stored_versions(conversation.partition)
        return self._versions[conversation.completion_id].digest is None
