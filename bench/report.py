"""The table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.results import Row

HEAD = ("what", "ours", "theirs", "ratio", "target", "met")


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as texts, in the order of HEAD."""
    target = "" if row.target is None else f"{row.target.bound} {row.target.value:g}"
    met = {True: "yes", False: "no", None: ""}[row.met]
    return row.what, row.ours, row.theirs, f"{row.ratio:.2f}", target, met


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table(*HEAD)
    for row in rows:
        table.add_row(*cells(row))
    Console().print(table)
