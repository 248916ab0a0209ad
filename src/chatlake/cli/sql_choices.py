"""The formats of an answer, and which of them the options choose."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chatlake.errors import UsageError


class Format(StrEnum):
    """How a result is written."""

    table = "table"
    line = "line"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    markdown = "markdown"
    parquet = "parquet"


FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", metavar="|".join(Format), help="As in `chatlake sql`.", show_default="table"
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write to this file.")
]


def format_of(style: Format | None, *, as_json: bool, output: Path | None) -> Format:
    """Return the chosen format. UsageError for options that exclude each other."""
    if as_json and style not in (None, Format.json):
        raise UsageError(f"--json and --format {style} cannot be combined", hint="Give one.")
    chosen = Format.json if as_json else style or Format.table
    if chosen is Format.parquet and output is None and sys.stdout.isatty():
        raise UsageError(
            "Parquet output cannot go to a terminal",
            hint="Add --output FILE, or redirect the output.",
        )
    return chosen
