"""`chatlake ask`: built-in questions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.options import (
    MOST_ROWS,
    ConfigOption,
    JsonOption,
    OfSourceOption,
    SinceOption,
    UntilOption,
    examples,
)
from chatlake.cli.output import note, say, write_json
from chatlake.cli.sql_choices import Format, FormatOption, OutputOption, format_of

if TYPE_CHECKING:
    from chatlake.lake.catalog.ready_questions import ReadyQuestion

_ANY_COMPLETION = "SELECT 1 FROM completions LIMIT 1"
EXAMPLES = examples(
    "chatlake ask",
    "chatlake ask usage --since 2026-11-01",
    "chatlake ask by-key --key team --format csv --output teams.csv",
    "chatlake ask refusals --show-sql",
)


def ask(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="The name of the question; without it, all are listed.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    source: OfSourceOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Only this model; % stands for any text.", show_default=False
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="A metadata key.", show_default=False)
    ] = None,
    words: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Words to find.", show_default=False)
    ] = None,
    shortest: Annotated[
        str | None,
        typer.Option(metavar="N", help="Minimum number of characters.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=MOST_ROWS,
            help="Maximum number of rows to show.",
            show_default=False,
        ),
    ] = None,
    style: FormatOption = None,
    output: OutputOption = None,
    show_sql: Annotated[
        bool, typer.Option("--show-sql", help="Print the SQL instead of running it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Answer a common question about the lake.

    Without a name, it lists the questions and the options that each accepts. --show-sql prints the
    SQL, which you can change and pass to `chatlake sql`.
    """
    from chatlake.lake.catalog.ready_questions import ready_question, ready_questions  # noqa: PLC0415

    if name is None:
        _list(list(ready_questions().values()), as_json=as_json)
        return
    options = {
        "since": since, "until": until, "source": source, "model": model, "key": key,
        "words": words, "shortest": shortest, "limit": None if limit is None else str(limit),
    }  # fmt: skip
    given = {option: value for option, value in options.items() if value is not None}
    question = ready_question(name)
    query = question.sql(given)
    if show_sql:
        say(query)
        return
    chosen = format_of(style, as_json=as_json, output=output)
    from chatlake.bootstrap.opened import open_lake, require_sources  # noqa: PLC0415
    from chatlake.cli.sql_answer import open_for_questions  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    lake = open_lake(settings, to_ask=True)
    require_sources(settings, lake, () if source is None else (source,))
    limits = [each.default for each in question.parameters if each.name == "limit"]
    most = None
    if limits:
        most = limit or int(limits[0] or 0)
        if chosen is not Format.parquet:
            # One more, to know whether there are more.
            query = question.sql({**given, "limit": str(most + 1)})
    beside = output if chosen is Format.parquet else None
    with open_for_questions(lake, beside=beside) as questions:

        def nothing() -> str:
            count = questions.read(lambda views: views.execute(_ANY_COMPLETION).fetchall())
            return "Nothing found." if count else "The lake has no completions yet."

        questions.answer(
            query, chosen.value, output, nothing=nothing, important=question.important, most=most
        )


def _list(questions: list[ReadyQuestion], *, as_json: bool) -> None:
    if as_json:
        write_json(
            [
                {
                    "name": question.name,
                    "description": question.description,
                    "parameters": [
                        {
                            "name": parameter.name,
                            "kind": parameter.kind.lower(),
                            "default": parameter.default,
                            "required": parameter.is_needed,
                            "description": parameter.description,
                        }
                        for parameter in question.parameters
                    ],
                }
                for question in questions
            ]
        )
        return
    for question in questions:
        takes = " ".join(
            f"--{each.name}" if each.is_needed else f"[--{each.name}]"
            for each in question.parameters
        )
        say(f"{question.name}\n    {question.description}\n    {takes}")
    if sys.stdout.isatty():
        note("\nTry: chatlake ask usage")
