"""Write a lake of a year: `python -m bench.million PATTERN FOLDER` prints how many rows it has.

PATTERN is a lake of a few days that `chatlake backup` made. Each of 365 days is one of those
days again, with ids of its own and the times of its day, and `Lake.write_parts` writes it: files,
sizes, types and indexes are those of a backup that ran every night. But texts occur again on other
days, and `raw` keeps the ids of the pattern. Fetching as much would take ten times as long.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chatlake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition

DAYS = 365
_DAY_US = 86_400_000_000
_NUMBERED = slice(len("chatcmpl-"), len("chatcmpl-") + 3)

Columns = dict[str, list[Any]]


def patterns(lake: Lake) -> list[dict[str, Columns]]:
    """Return the rows of every whole day of a lake: table -> columns; times in microseconds."""
    found: dict[str, dict[str, Columns]] = {}
    for file in lake.state.files.values():
        table = pq.read_table(Path(lake.location) / file.path, partitioning=None)
        columns = found.setdefault(file.created_date, {}).setdefault(file.table, {})
        for field in table.schema:
            column = table.column(field.name)
            if pa.types.is_timestamp(field.type):
                column = column.cast(pa.int64())
            columns.setdefault(field.name, []).extend(column.to_pylist())
    whole_days = sorted(found)[1:-1]
    return [found[day] for day in whole_days]


def of_day(pattern: Columns, number: int, day: date) -> Columns:
    """Return a pattern's rows as those of day `number`."""
    began_us = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    columns = dict(pattern)
    for name in ("completion_id", "message_id"):
        if name in columns:
            columns[name] = [_numbered(value, number) for value in columns[name]]
    if "created_at" in columns:
        columns["created_at"] = [began_us + at % _DAY_US for at in columns["created_at"]]
    return columns


def _numbered(identifier: str, number: int) -> str:
    return f"{identifier[: _NUMBERED.start]}{number:03d}{identifier[_NUMBERED.stop :]}"


def main() -> None:
    """Write a year that ends today, in one commit."""
    found = patterns(Lake.open(sys.argv[1]))
    lake = Lake.open(sys.argv[2], create=True)
    manifest = Manifest(run_id="bench")
    first = datetime.now(UTC).date() - timedelta(days=DAYS - 1)
    with lake.lock("bench"):
        for number in range(DAYS):
            day = first + timedelta(days=number)
            partition = Partition("openai", day.isoformat())
            pattern = found[number % len(found)]
            manifest.added += lake.write_parts(
                {(name, partition): of_day(rows, number, day) for name, rows in pattern.items()}
            )
        lake.commit(manifest)
    rows = Counter[str]()
    for file in manifest.added:
        rows[file.table] += file.rows
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
