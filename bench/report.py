"""The table: on the terminal, as JSON that is kept in git, and in docs/performance.md."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.chart import svg
from bench.measured import ROOT
from bench.results import Row, Target

HEAD = ("what", "ours", "theirs", "ratio", "target", "met")
DOCS = ROOT / "docs"
RESULTS, CHART, PAGE = "performance.json", "performance.svg", "performance.md"
_SECTION = re.compile(r"(<!-- measured -->\n).*?(<!-- end of measured -->)", re.DOTALL)


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as texts, in the order of HEAD."""
    target = "" if row.target is None else f"{row.target.bound} {row.target.value:g}"
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return row.what, row.ours, row.theirs, _ratio(row), target, met


def _ratio(row: Row) -> str:
    """Return the ratio in two digits; in more where they would look like the other verdict."""
    for digits in range(4 if row.ratio < 0.1 else 2, 9):
        text = f"{row.ratio:.{digits}f}"
        if row.target is None or row.target.is_met(float(text)) is row.met:
            return text
    return repr(row.ratio)


def show(rows: Sequence[Row]) -> None:
    """Print the table, and what must be known to read it."""
    table = Table(*HEAD)
    for row in rows:
        table.add_row(*(cell.strip("*") for cell in cells(row)))
    console = Console(width=None if os.isatty(1) else 130)
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.what}: {row.note}", style="dim", highlight=False)


def as_json(rows: Iterable[Row], cores: int) -> str:
    """Return the text of the file of results."""
    found = [{**asdict(row), "met": row.met} for row in rows]
    return json.dumps({"cores": cores, "rows": found}, indent=1) + "\n"


def read_rows(text: str) -> list[Row]:
    """Return the rows of such a text."""
    return [_row(**found) for found in json.loads(text)["rows"]]


def _row(met: bool | None, target: dict[str, Any] | None, **found: Any) -> Row:
    row = Row(**found, target=None if target is None else Target(**target))
    if row.met is not met:
        raise ValueError(f"{row.what}: the file says {met}, its figures say {row.met}")
    return row


def merged(before: Sequence[Row], measured: Sequence[Row], order: Sequence[str]) -> list[Row]:
    """Return the rows with those groups replaced that were measured, in the order of the groups."""
    new = {row.group for row in measured}
    rows = [row for row in before if row.group not in new] + list(measured)
    return sorted(rows, key=lambda row: order.index(row.group))


def page(text: str, rows: Sequence[Row]) -> str:
    """Return the page with a new measured section."""

    def section(match: re.Match[str]) -> str:
        return f"{match[1]}\n{_markdown(rows)}\n{match[2]}"

    return _SECTION.sub(section, text)


def _markdown(rows: Sequence[Row]) -> str:
    lines = [f"![How many times as much others take]({CHART})", ""]
    lines += [f"| {' | '.join(HEAD)} |", "|---|--:|--:|--:|--:|:-:|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    notes = [f"- {row.what}: {row.note}." for row in rows if row.note]
    return "\n".join([*lines, "", *notes, ""])


def write(measured: Sequence[Row], order: Sequence[str], docs: Path = DOCS) -> None:
    """Take what was measured into the results, and write the chart and the page from them."""
    results = docs / RESULTS
    before = read_rows(results.read_text(encoding="utf-8")) if results.exists() else []
    rows = merged(before, measured, order)
    results.write_text(as_json(rows, os.cpu_count() or 1), encoding="utf-8")
    (docs / CHART).write_text(svg(rows), encoding="utf-8")
    text = (docs / PAGE).read_text(encoding="utf-8")
    (docs / PAGE).write_text(page(text, rows), encoding="utf-8")
