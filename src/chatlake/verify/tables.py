"""The rows of whole partitions compared with each other: keys, counts and references.

All rules are SQL over the tables' keys, `KEY_COLUMNS` of `verify.file`, with two more columns:
`file` and `part` number the file and the partition that a row comes from. Each rule returns the
number of the file to name, how many of its rows break the rule, and one of them as an example.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

import duckdb
import pyarrow as pa

from chatlake.lake.files.schema import SCHEMAS
from chatlake.model.counts import count
from chatlake.model.manifest import PartFile
from chatlake.model.tables import (
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
    MISSED,
)
from chatlake.verify.file import KEY_COLUMNS
from chatlake.verify.findings import RESTORE_OR_FETCH, Finding, FindingKind

_KEYS: Final = {
    COMPLETIONS: ("completion_id",),
    MESSAGES: ("message_id",),
    CONTENT_PARTS: ("message_id", "part_index"),
    IMAGES: ("sha256",),
    MESSAGE_HISTORY: ("completion_id", "message_id", "observed_at"),
    MISSED: ("completion_id",),
}


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: FindingKind
    sql: str
    problem: str  # {rows}: `2 rows`, of which {example} is one


def _without_completion(table: str) -> _Rule:
    sql = f"""
        SELECT file, count(*), min(completion_id) FROM {table}
        ANTI JOIN completions USING (part, completion_id) GROUP BY file"""  # noqa: S608
    return _Rule("orphan", sql, "holds {rows} of completions that are not stored: {example}")


def _counts(column: str, table: str, key: str, counted: str, noun: str) -> _Rule:
    sql = f"""
        WITH counted AS (SELECT part, {key}, count(*) AS n FROM {counted} GROUP BY ALL)
        SELECT file, count(*), min({key}) FROM {table}
        SEMI JOIN complete USING (part, completion_id) LEFT JOIN counted USING (part, {key})
        WHERE {column} <> coalesce(n, 0) GROUP BY file"""  # noqa: S608
    return _Rule("count", sql, f"{column} of {{rows}} is not the number of {noun}: {{example}}")


# A completion without digest is known to be incomplete: its messages could not be fetched,
# or were lost with a file that the source could not replace. What is missing there is already
# known.
_COMPLETE: Final = """
    CREATE TEMP VIEW complete AS
    SELECT part, completion_id, run_id FROM completions WHERE digest IS NOT NULL"""
_INCOMPLETE: Final = "SELECT count(*) FROM completions WHERE digest IS NULL"
_RULES: Final = (
    *(_without_completion(table) for table in (MESSAGES, CONTENT_PARTS, HISTORY, MESSAGE_HISTORY)),
    _Rule(
        "orphan",
        """
        SELECT file, count(*), min(message_id) FROM content_parts
        SEMI JOIN complete USING (part, completion_id)
        ANTI JOIN messages USING (part, completion_id, message_id) GROUP BY file""",
        "holds {rows} of messages that are not stored: {example}",
    ),
)
_IMAGE_PARTS: Final = f"{CONTENT_PARTS} WHERE type = 'image_url'"
_COUNT_RULES: Final = (
    _counts("message_count", COMPLETIONS, "completion_id", MESSAGES, "its messages"),
    _counts("image_count", COMPLETIONS, "completion_id", _IMAGE_PARTS, "its image parts"),
    _counts("part_count", MESSAGES, "message_id", CONTENT_PARTS, "its content parts"),
)
# By run: a run keeps the images of a source, or only references. The lake does not say which,
# but a run that kept one image has kept all.
_REFERENCES: Final = """
    WITH kept AS (SELECT DISTINCT part, sha256 AS image_sha256, true AS stored FROM images)
    SELECT content_parts.file, run_id, count(stored),
           count(*) FILTER (stored IS NULL), min(image_sha256) FILTER (stored IS NULL)
    FROM content_parts LEFT JOIN kept USING (part, image_sha256)
    JOIN complete USING (part, completion_id)
    WHERE image_sha256 IS NOT NULL GROUP BY ALL ORDER BY ALL"""


@dataclass(slots=True)
class _ImagesOfRun:
    stored: int = 0
    lacking: list[tuple[PartFile, int, str]] = field(default_factory=list)


class TableChecker:
    """Checks partitions, some at a time; the results for images are known at the end.

    `incomplete`: how many completions are known to lack their messages.
    """

    def __init__(self) -> None:
        self.incomplete = 0
        self._images: dict[tuple[str, str], _ImagesOfRun] = defaultdict(_ImagesOfRun)

    def check(self, partitions: Iterable[Iterable[tuple[PartFile, pa.Table]]]) -> Iterator[Finding]:
        """Yield what is wrong among the rows of whole partitions, given as files with their keys.

        The files of a partition are in the order of their commits.
        """
        files: list[PartFile] = []
        keys: dict[str, list[pa.Table]] = defaultdict(list)
        for number, partition in enumerate(partitions):
            for file, rows in partition:
                keys[file.table].append(_numbered(rows, len(files), number))
                files.append(file)
        with _database() as connection:
            for table in KEY_COLUMNS:
                empty = SCHEMAS[table].empty_table().select(list(KEY_COLUMNS[table]))
                rows = pa.concat_tables([_numbered(empty, 0, 0), *keys.pop(table, [])])
                connection.register("table_keys", rows)
                connection.execute(f"CREATE TABLE {table} AS FROM table_keys")
                connection.unregister("table_keys")
            connection.execute(_COMPLETE)
            self.incomplete += connection.execute(_INCOMPLETE).fetchall()[0][0]
            duplicates = list(_duplicates(connection, files))
            yield from duplicates
            # A row that occurs twice is counted twice, which would report the same finding again.
            for rule in _RULES if duplicates else (*_RULES, *_COUNT_RULES):
                for number, n, example in connection.execute(rule.sql).fetchall():
                    problem = rule.problem.format(rows=count(n, "row"), example=example)
                    yield _finding(files[number], rule.kind, problem)
            for number, run_id, stored, n, example in connection.execute(_REFERENCES).fetchall():
                images = self._images[files[number].source, run_id]
                images.stored += stored
                if n:
                    images.lacking.append((files[number], n, example))

    def missing_images(self) -> Iterator[Finding]:
        """Yield, after all partitions, references to images that should be stored but are not."""
        for run in self._images.values():
            for file, n, example in run.lacking if run.stored else ():
                what = "refers to an image" if n == 1 else "refer to images"
                parts = f"{count(n, 'image part')} {what}"
                problem = f"{parts} not stored: {example}"
                yield _finding(file, "image", problem)

    def kept_as_references(self) -> dict[str, int]:
        """Return source -> image parts of runs that stored no images."""
        kept: dict[str, int] = defaultdict(int)
        for (source, _), run in self._images.items():
            if not run.stored:
                kept[source] += sum(n for _, n, _ in run.lacking)
        return dict(kept)


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory; if memory is short, it uses a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="chatlake-") as folder,
        closing(duckdb.connect(config={"temp_directory": folder})) as connection,
    ):
        yield connection


def _duplicates(connection: duckdb.DuckDBPyConnection, files: list[PartFile]) -> Iterator[Finding]:
    for table, key in _KEYS.items():
        sql = f"""
            SELECT file, other, count(*), min({key[0]}) FROM (
                SELECT {", ".join(key)}, max(file) AS file, min(file) AS other FROM {table}
                GROUP BY part, {", ".join(key)} HAVING count(*) > 1
            ) GROUP BY file, other ORDER BY file, other"""  # noqa: S608 - names of our own
        for number, other, n, example in connection.execute(sql).fetchall():
            where = "twice" if number == other else f"that {files[other].path} holds too"
            problem = f"holds {count(n, 'row')} {where}, by {' and '.join(key)}: {example}"
            yield _finding(files[number], "duplicate", problem)


def _numbered(rows: pa.Table, file: int, partition: int) -> pa.Table:
    for name, number in (("file", file), ("part", partition)):
        rows = rows.append_column(name, pa.repeat(pa.scalar(number, pa.int32()), rows.num_rows))
    return rows


def _finding(file: PartFile, kind: FindingKind, problem: str) -> Finding:
    return Finding(file.path, problem, RESTORE_OR_FETCH, kind)
