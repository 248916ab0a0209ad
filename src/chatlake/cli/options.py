"""Options that several commands share, and how a command's help shows its example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

MOST_ROWS: Final = 1_000_000_000
"""The largest `--limit`; DuckDB refuses one that is too large for it with an error of its own."""
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration; by default $CHATLAKE_CONFIG, else ./chatlake.yaml, "
        "else ./config/chatlake.yaml.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON document to standard output, and nothing else."),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet",
        help="Say nothing if all is well, for cron. Warnings and failures are shown in full.",
    ),
]
SinceOption = Annotated[
    str | None, typer.Option(metavar="DATE", help="The first day, in UTC.", show_default=False)
]
UntilOption = Annotated[
    str | None, typer.Option(metavar="DATE", help="The last day, in UTC.", show_default=False)
]
OfSourceOption = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="Only this source.", show_default=False),
]


def examples(*lines: str) -> str:
    """Return the end of a command's help; its lines are not reflowed."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
