"""`chatlake sql`: queries on the views, read-only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, examples
from chatlake.cli.sql_choices import Format, format_of
from chatlake.errors import UsageError

EXAMPLES = examples(
    "chatlake sql 'SELECT model, count(*) FROM completions GROUP BY ALL'",
    "chatlake sql 'SELECT * FROM messages LIMIT 5' --format json",
    "chatlake sql 'FROM messages' --format csv --csv-safe --output messages.csv",
    "chatlake sql 'FROM completions' --format parquet --output completions.parquet",
    "chatlake sql \"FROM completions JOIN 'prices.csv' USING (model)\" --allow-files",
    "chatlake sql - < question.sql",
    "chatlake sql -i",
    "chatlake sql 'SHOW TABLES'",
)


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="QUERY", help="One SELECT; - reads it from standard input.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    style: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="|".join(Format),
            help="csv, jsonl and parquet are streamed, so a result of any size fits. "
            "Times are ISO 8601 in UTC, bytes base64.",
            show_default="table",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Write to this file; an existing file is replaced."
        ),
    ] = None,
    *,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", "-i", help="Open a prompt that takes one query after another."
        ),
    ] = False,
    allow_files: Annotated[
        bool,
        typer.Option(
            "--allow-files",
            help="Let the query also read files outside the lake, as in FROM 'prices.csv'.",
        ),
    ] = False,
    csv_safe: Annotated[
        bool,
        typer.Option(
            "--csv-safe",
            help=(
                "With --format csv, for spreadsheets: put an apostrophe before text that would be "
                "read as a formula (it begins with = + - @, a tab or a line end)."
            ),
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Query the lake's views with SQL, read-only.

    SHOW TABLES lists the views, and DESCRIBE completions lists the columns of a view. You can use
    SELECT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN. A query cannot read files outside the lake. If
    the SQL has an error, the exit code is 2.
    """
    chosen = format_of(style, as_json=as_json, output=output)
    interactive = interactive or (query is None and sys.stdin.isatty() and not as_json)
    if query is None and not interactive:
        raise UsageError(
            "missing argument 'query'",
            hint="At a terminal, `chatlake sql` prompts for it; - reads it from standard input.",
        )
    if interactive and (query is not None or output is not None or as_json):
        raise UsageError(
            "-i cannot be combined with QUERY, --output or --json",
            hint="See `chatlake sql --help`.",
        )
    if csv_safe and chosen is not Format.csv:
        raise UsageError("--csv-safe is for CSV", hint="Add --format csv.")
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.cli.sql_answer import open_for_questions  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    text = sys.stdin.read() if query == "-" else query
    writer = "csv-safe" if csv_safe else chosen.value
    beside = output if chosen is Format.parquet else None
    with open_for_questions(
        open_lake(load_settings(config), to_ask=True), allow_files=allow_files, beside=beside
    ) as questions:
        if text is not None:
            questions.answer(text, writer, output)
            return
        from chatlake.cli.sql_prompt import ask_in_turn  # noqa: PLC0415

        ask_in_turn(questions, writer)
