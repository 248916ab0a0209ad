"""`chatlake files`: the Parquet files that belong to a table now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatlake.cli.options import ConfigOption, JsonOption, examples
from chatlake.cli.output import note, say, write_json
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from chatlake.model.manifest import PartFile

EXAMPLES = examples(
    "chatlake files messages",
    "chatlake files completions --json",
    "chatlake files messages --paths | xargs parquet-tools inspect",
)


def files(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="completions, messages, content_parts, images, …")
    ],
    config: ConfigOption = None,
    *,
    paths: Annotated[
        bool,
        typer.Option("--paths", help="Print only the paths, one per line, for other programs."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the Parquet files of a table.

    These are the files of the newest commit, each with its rows, bytes, partition (source and UTC
    day), and absolute path or URL. While no run is writing, a plain glob over the table's folder
    finds the same files.
    """
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.config.expected import did_you_mean  # noqa: PLC0415
    from chatlake.model.tables import COLUMNS  # noqa: PLC0415

    if table not in COLUMNS:
        raise UsageError(
            f"there is no table {table}{did_you_mean(table, COLUMNS)}",
            hint=f"Tables: {', '.join(COLUMNS)}.",
        )
    if paths and as_json:
        raise UsageError("--paths and --json cannot be combined", hint="Give one.")
    lake = open_lake(load_settings(config))
    listed = sorted(lake.state.table_files(table), key=lambda f: (f.created_date, f.path))
    found = [(file, lake.storage.url(file.path) or file.path) for file in listed]
    if as_json:
        write_json(
            {
                "lake": lake.location,
                "commit": lake.state.number,
                "table": table,
                "files": [_document(file, path) for file, path in found],
            }
        )
    elif paths:
        for _, path in found:
            say(path)
    elif found:
        _show(found)
    else:
        say(f"The table {table} has no rows yet, and so no files.")


def _document(file: PartFile, path: str) -> dict[str, Any]:
    return {
        "path": path,
        "rows": file.rows,
        "bytes": file.bytes,
        "source": file.source,
        "created_date": file.created_date,
    }


def _show(found: list[tuple[PartFile, str]]) -> None:
    import sys  # noqa: PLC0415

    from chatlake.cli.table import Cell, Layout, lines  # noqa: PLC0415
    from chatlake.cli.words import size  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    rows = [
        [
            Cell(f"{file.rows:,}"), Cell(f"{file.bytes:,}"), Cell(file.source),
            Cell(file.created_date), Cell(path),
        ]
        for file, path in found
    ]  # fmt: skip
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    headers = ("rows", "bytes", "source", "created_date", "path")
    layout = Layout(headers, (True, True, False, False, False), None, ascii_only)
    for line in lines(layout, rows, "", ""):
        say(line)
    octets = sum(file.bytes for file, _ in found)
    total = sum(file.rows for file, _ in found)
    note(f"({count(len(found), 'file')}, {count(total, 'row')}, {size(octets)})")
