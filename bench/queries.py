"""Ask the views of a lake, and its files without them: `python -m bench.queries LAKE`.

Prints one line of JSON. Each pair of queries is asked in turn in one connection, the best of
several; both must answer the same.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from chatlake.lake import Lake

TIMES = 11
IDS = 20
PAIRS = {
    "aggregate": "SELECT role, count(*), sum(part_count), max(created_at) FROM {} GROUP BY ALL "
    "ORDER BY ALL",
    "scan": "SELECT count(*) FROM {} WHERE text ILIKE '%invoice%'",
}
ONE_DAY = "SELECT count(*), sum(length(text)) FROM messages WHERE created_date = DATE '{}'"
BY_ID = {
    "completion": "SELECT * FROM completions WHERE completion_id = ?",
    "messages": "SELECT * FROM messages WHERE completion_id = ? ORDER BY message_index",
}


def best_of_both(connection: duckdb.DuckDBPyConnection, query: str, files: str) -> list[float]:
    """Return the least seconds of a query of the view `messages`, and of its files."""
    best = [float("inf")] * 2
    answers: list[Any] = [None, None]
    for _ in range(TIMES):
        for place, table in enumerate(("messages", files)):
            began = time.perf_counter()
            answers[place] = connection.execute(query.format(table)).fetchall()
            best[place] = min(best[place], time.perf_counter() - began)
    if answers[0] != answers[1] or not answers[0][0][0]:
        raise SystemExit(f"the view answers {answers[0]}, its files {answers[1]}")
    return best


def files_read(connection: duckdb.DuckDBPyConnection, day: object) -> list[int]:
    """Return how many files of messages a query of one day reads, and how many there are."""
    query = ONE_DAY.format(day)
    profile = str(connection.execute(f"EXPLAIN ANALYZE {query}").fetchall()[0][1])
    read = re.search(r"Total Files Read: (\d+)", profile)
    there_are = re.search(r"Scanning Files: \d+/(\d+)", profile)
    if read is None or not connection.execute(query).fetchall()[0][0]:
        raise SystemExit(f"DuckDB does not say how many files it read:\n{profile}")
    return [int(read[1]), int(there_are[1] if there_are else read[1])]


def by_id(connection: duckdb.DuckDBPyConnection, query: str, ids: list[str]) -> float:
    """Return the median seconds of a query for one id, warm."""
    took = []
    for name in ids:
        began = time.perf_counter()
        if not connection.execute(query, [name]).fetchall():
            raise SystemExit(f"{name} was not found")
        took.append(time.perf_counter() - began)
    return median(took[2:])


def main() -> None:
    """Ask everything."""
    lake = Lake.open(sys.argv[1])
    listed = [file for file in lake.state.files.values() if file.table == "messages"]
    names = ", ".join(f"'{Path(lake.location) / file.path}'" for file in listed)
    files = f"read_parquet([{names}], hive_partitioning = true)"
    connection = lake.connect()
    total, ids, days = connection.execute(
        "SELECT count(*), count(DISTINCT message_id), count(DISTINCT created_date) FROM messages"
    ).fetchall()[0]
    if total != ids:
        raise SystemExit(f"{total} messages have {ids} ids")
    day = connection.execute(
        "SELECT DISTINCT created_date FROM messages ORDER BY ALL LIMIT 1 OFFSET ?", [days // 2]
    ).fetchall()[0][0]
    some = connection.execute(
        "SELECT completion_id FROM completions ORDER BY hash(completion_id) LIMIT ?", [IDS]
    ).fetchall()
    found = {
        "messages": total,
        "days": days,
        "one_day": files_read(connection, day),
        **{name: best_of_both(connection, query, files) for name, query in PAIRS.items()},
        "by_id": {name: by_id(connection, q, [i for (i,) in some]) for name, q in BY_ID.items()},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
