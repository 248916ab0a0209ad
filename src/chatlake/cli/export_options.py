"""The options that all exports share, and how their reports are shown."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from chatlake.cli.options import ConfigOption, JsonOption, QuietOption
from chatlake.cli.output import note, warn
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.streams import after_the_work
from chatlake.errors import IncompleteExportError, UsageError
from chatlake.model.terminal_text import printable_json

if TYPE_CHECKING:
    from chatlake.exports.narrowing import Selection
    from chatlake.exports.report import ExportReport
    from chatlake.lake.lake import Lake

FileOption = Annotated[
    str,
    typer.Option(
        "--output",
        metavar="PATH",
        help="The file to write, replaced if it exists; - for standard output.",
    ),
]
FolderOption = Annotated[
    str,
    typer.Option(
        "--output", metavar="FOLDER", help="The folder to write; an earlier export is replaced."
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option("--where", metavar="SQL", help="Only completions for which this condition holds."),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME", help="Only this source; repeatable."),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Created at or after this time: 2026-01-31, or an age such as 7d.",
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Created before this time (UTC).")
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", help="At most N completions, the oldest first."),
]
SampleOption = Annotated[
    float | None,
    typer.Option(
        "--sample", metavar="P", help="Only this share of them, from 0 to 1, chosen by --seed."
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", help="Another seed gives another sample and split.")
]
NoDeletedOption = Annotated[
    bool,
    typer.Option("--no-deleted", help="Leave out completions that were deleted at the source."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 when something was skipped.")
]


def exporting(command: Callable[..., ExportReport]) -> Callable[..., None]:
    """Make a command of a function that takes a lake, a selection, `output` and its own options.

    The command has the options that all exports share, and shows the report.
    """
    hidden = ("lake", "selection")
    names = dict.fromkeys(("Lake", "Selection", "ExportReport"), Any)
    hints = get_type_hints(command, localns=names, include_extras=True)
    own = {
        name: parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name not in hidden
    }

    def run(
        *,
        config: Path | None,
        strict: bool,
        quiet: bool,
        as_json: bool,
        output: str,
        **values: Any,
    ) -> None:
        from chatlake.exports.narrowing import Selection  # noqa: PLC0415

        STANDARD_ERROR.is_quiet = quiet
        require_one_output(output, as_json=as_json)
        options = {name: values.pop(name) for name in own}
        source = values.pop("source")
        selection = Selection(
            sources=tuple(source) if source else None,
            deleted=not values.pop("no_deleted"),
            **values,
        )
        lake = opened_lake(config, selection)
        report = command(lake, selection, output=output, **options)
        if as_json:
            with after_the_work():
                _show(report, output)
        tell(report, output)
        require_all(sum(report.skipped.values()), strict=strict)

    parameters = [own.pop("output"), *_shared()[:1], *own.values(), *_shared()[1:]]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = command.__doc__
    return run


def _shared() -> list[inspect.Parameter]:
    options: list[tuple[str, Any, Any]] = [
        ("config", ConfigOption, None),
        ("where", WhereOption, None),
        ("source", SourceOption, None),
        ("since", SinceOption, None),
        ("until", UntilOption, None),
        ("limit", LimitOption, None),
        ("sample", SampleOption, None),
        ("seed", SeedOption, 0),
        ("no_deleted", NoDeletedOption, False),
        ("strict", StrictOption, False),
        ("quiet", QuietOption, False),
        ("as_json", JsonOption, False),
    ]
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, annotation, default in options
    ]


def opened_lake(config: Path | None, selection: Selection) -> Lake:
    """Open the configured lake.

    UsageError for a source that neither the configuration nor the lake has.
    """
    from chatlake.bootstrap.opened import open_lake, require_sources  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    lake = open_lake(settings)
    require_sources(settings, lake, selection.sources or ())
    return lake


def require_one_output(output: str, *, as_json: bool) -> None:
    """Raise UsageError if both the export and its report would go to standard output."""
    if as_json and output == "-":
        raise UsageError(
            "--json needs a file: standard output cannot hold both", hint="Give --output FILE."
        )


def require_all(skipped: int, *, strict: bool) -> None:
    """Raise IncompleteExportError if something was skipped although `--strict` is set."""
    from chatlake.model.counts import count  # noqa: PLC0415

    if strict and skipped:
        raise IncompleteExportError(f"{count(skipped, 'completion')} skipped, with --strict")


def _show(report: ExportReport, output: str) -> None:
    """Write the one JSON document of the command, the report with its place."""
    for text in report.document(ascii_only=True, output=output):
        print(printable_json(text) if sys.stdout.isatty() else text, end="")


def tell(report: ExportReport, output: str) -> None:
    """Say what was written and what was skipped, on standard error."""
    from chatlake.cli.words import size  # noqa: PLC0415
    from chatlake.model.counts import count  # noqa: PLC0415

    place = "" if output == "-" else f" to {output}"
    of = f"{report.written:,} of " if report.skipped else ""
    things = count(report.selected if of else report.written, *_thing(report))
    note(f"{of}{things} written{place} ({size(report.files.bytes)})")
    for reason, number in report.skipped.most_common():
        note(f"  {number:>7,} skipped: {reason}")
    for line in report.warnings:
        warn(line)
    if more := _more(report.more):
        note(f"  {more}")


def _thing(report: ExportReport) -> tuple[str, str]:
    """Return what is counted, one and many of it."""
    if report.options.get("choice") == "all":
        return "reply", "replies"
    return "completion", "completions"


def _more(figures: dict[str, Any]) -> str:
    shown = [f"{name.replace('_', ' ')}: {value}" for name, value in figures.items()]
    return ", ".join(shown)
