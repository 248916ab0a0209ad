"""Count the rows of every table that a peer wrote: `FOLDER/<table>/**/*.parquet`, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq


def main() -> None:
    """Print table -> rows."""
    rows: dict[str, int] = {}
    for file in Path(sys.argv[1]).rglob("*.parquet"):
        table = file.relative_to(sys.argv[1]).parts[0]
        rows[table] = rows.get(table, 0) + pq.read_metadata(file).num_rows
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
