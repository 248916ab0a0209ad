"""`chatlake runs` and `chatlake failures`: the ledger, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from chatlake.cli.options import (
    MOST_ROWS,
    ConfigOption,
    JsonOption,
    OfSourceOption,
    examples,
)
from chatlake.cli.sql_choices import Format, FormatOption, OutputOption, format_of

RUNS_EXAMPLES = examples("chatlake runs", "chatlake runs --limit 100 --format csv")
FAILURES_EXAMPLES = examples("chatlake failures", "chatlake failures --json")

# The columns that a narrow terminal shows, the most important first.
_OF_A_RUN: Final = (
    "started_at", "status", "error", "source", "new", "failed", "listed", "changed", "deleted",
    "seconds", "unchanged", "messages", "mode", "bytes_added", "requests", "retries",
)  # fmt: skip
_OF_A_FAILURE: Final = (
    "completion_id", "reason", "detail", "source", "last_attempt_at", "attempts", "created_at",
    "request_id",
)  # fmt: skip
_RUNS: Final = """
SELECT {started_at}, source, mode, status, round(seconds, 1) AS seconds, listed, new, changed,
    unchanged, deleted, failed, messages, content_parts, images, requests, retries, rate_limited,
    files_added, bytes_added, healed_files, error, run_id
FROM runs
{where}
ORDER BY runs.started_at DESC, source
LIMIT {limit}
"""
_FAILURES: Final = """
SELECT source, completion_id, reason, detail, attempts, first_attempt_at, last_attempt_at,
    created_at, request_id, run_id
FROM failures
{where}
ORDER BY last_attempt_at DESC, source, completion_id
LIMIT {limit}
"""


def runs(
    config: ConfigOption = None,
    source: OfSourceOption = None,
    limit: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=MOST_ROWS, help="Maximum number of rows to show."),
    ] = 20,
    style: FormatOption = None,
    output: OutputOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show the last backups, newest first.

    Each row says what the backup found and stored, and how it ended.
    """
    chosen = format_of(style, as_json=as_json, output=output)
    # People read seconds; programs get what is stored.
    shown = "date_trunc('second', started_at) AS started_at"
    started_at = shown if chosen is Format.table else "started_at"
    query = _RUNS.format(started_at=started_at, where=_where(source), limit=limit)
    _answer(query, config, source, chosen, output, of=("run", limit), important=_OF_A_RUN)


def failures(
    config: ConfigOption = None,
    source: OfSourceOption = None,
    limit: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=MOST_ROWS, help="Maximum number of rows to show."),
    ] = 1000,
    style: FormatOption = None,
    output: OutputOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what could not be fetched yet, and why.

    The next backup tries these completions again. A completion leaves the list once it is stored.
    """
    chosen = format_of(style, as_json=as_json, output=output)
    query = _FAILURES.format(where=_where(source), limit=limit)
    of_source = "" if source is None else f" of {source}"
    nothing = f"No gaps: no completion{of_source} is waiting to be fetched again."
    of = ("failure", limit)
    _answer(query, config, source, chosen, output, of=of, nothing=nothing, important=_OF_A_FAILURE)


def _where(source: str | None) -> str:
    from chatlake.lake.catalog.views import quoted  # noqa: PLC0415

    return "" if source is None else f"WHERE source = {quoted(source)}"


def _answer(
    query: str,
    config: Path | None,
    source: str | None,
    style: Format,
    output: Path | None,
    *,
    of: tuple[str, int],
    important: Sequence[str],
    nothing: str = "",
) -> None:
    """Write the rows; if there are none, say `nothing`, or that no backup has run yet.

    `of`: what a row is, and the most rows. If there are more, a line to standard error says so.
    """
    from chatlake.bootstrap.opened import open_lake, require_sources  # noqa: PLC0415
    from chatlake.cli.output import note  # noqa: PLC0415
    from chatlake.cli.sql_answer import open_for_questions  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    settings = load_settings(config)
    lake = open_lake(settings, to_ask=True)
    require_sources(settings, lake, () if source is None else (source,))
    any_run = f"SELECT count(*) FROM runs {_where(source)}"  # noqa: S608 - quoted
    beside = output if style is Format.parquet else None
    with open_for_questions(lake, beside=beside) as questions:

        def said() -> str:
            ((any_runs,),) = questions.read(lambda views: views.execute(any_run).fetchall())
            of_source = "" if source is None else f" of {source}"
            return nothing if any_runs else f"No backup{of_source} has run yet."

        questions.answer(query, style.value, output, nothing=said, important=important)
        row, limit = of
        all_rows = f"SELECT count(*) FROM {row}s {_where(source)}"  # noqa: S608 - quoted
        ((total,),) = questions.read(lambda views: views.execute(all_rows).fetchall())
        if total > limit:
            older = count(total - limit, f"older {row}")
            note(f"{older} not shown: see --limit")
