"""`chatlake compact`: merges small files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption, examples
from chatlake.cli.output import say, show_error, write_json
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.streams import after_the_work
from chatlake.errors import LakeDamagedError

if TYPE_CHECKING:
    from chatlake.lake.compacting import CompactionReport
    from chatlake.lake.lake import Lake

EXAMPLES = examples("chatlake compact", "chatlake compact --json")


def compact(
    config: ConfigOption = None, *, quiet: QuietOption = False, as_json: JsonOption = False
) -> None:
    """Merge small files, so that queries run faster.

    Rows do not change. The old files move to `replaced/` in the lake until `chatlake vacuum`
    removes them. Every backup merges some small files at its end; this command merges all of them.
    Exit codes: 0 done, 7 a file is damaged (it and the other files of its partition stay as they
    are; all others are merged), 8 locked by another run, 130 or 143 interrupted (what was merged
    stays merged).
    """
    from chatlake.bootstrap.maintenance import compact_lake  # noqa: PLC0415
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.bytes_shown import bytes_shown  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    STANDARD_ERROR.is_quiet = quiet
    lake = open_lake(load_settings(config))
    with bytes_shown("looking", "merging files", bar=sys.stderr.isatty()) as progress:
        report = compact_lake(lake, progress)
    error = _error(report)
    with after_the_work():
        if as_json:
            write_json(_document(lake, report, error))
        else:
            _show(lake, report)
    if error is not None:
        show_error(error.message, error.hint)
        raise typer.Exit(error.exit_code)


def _error(report: CompactionReport) -> LakeDamagedError | None:
    if not report.damaged:
        return None
    message = "\n".join(f"{problem}: not merged" for problem in report.damaged)
    return LakeDamagedError(message)


def _document(
    lake: Lake, report: CompactionReport, error: LakeDamagedError | None
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "status": "complete" if error is None else "incomplete",
        "lake": lake.location,
        "files": len(lake.state.files),
        "files_removed": report.merged,
        "files_added": report.added,
        "bytes_removed": report.merged_bytes,
        "bytes_added": report.added_bytes,
        "rows": report.rows,
        "partitions": len(report.partitions),
        "seconds": report.seconds,
        "damaged": report.damaged,
    }
    if error is not None:
        document["error"] = {"kind": error.kind, "message": error.message, "hint": error.hint}
    return document


def _show(lake: Lake, report: CompactionReport) -> None:
    from chatlake.cli.words import duration, size  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    left = f"the lake has {count(len(lake.state.files), 'file')}"
    if not report.merged:
        say(f"Nothing to merge: {left}")
        return
    say(
        f"Merged {count(report.merged, 'file')} ({size(report.merged_bytes)}) into "
        f"{count(report.added)} ({size(report.added_bytes)}) in {duration(report.seconds)}; {left}"
    )
    say(
        "The old files are now in replaced/, for readers that still need them; chatlake vacuum "
        "removes them"
    )
