"""`chatlake export`: the lake's contents in other shapes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.options import ConfigOption, JsonOption, examples
from chatlake.cli.output import note, warn, write_json
from chatlake.cli.streams import after_the_work
from chatlake.errors import UsageError

if TYPE_CHECKING:
    from chatlake.exports.raw import RawExportReport

app = typer.Typer(
    help="Write completions to files in other formats.",
    rich_markup_mode=None,
    epilog=examples("chatlake export raw --output backup.jsonl"),
)

_RAW_EXAMPLES = examples(
    "chatlake export raw --output backup.jsonl",
    "chatlake export raw --where \"model LIKE 'gpt-4o%'\" --output - | gzip > gpt-4o.jsonl.gz",
)


@app.callback()
def _export() -> None:
    pass


@app.command("raw", epilog=_RAW_EXAMPLES)
def raw(
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="PATH",
            help="The file to write, replaced if it exists; - for standard output.",
        ),
    ],
    config: ConfigOption = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", metavar="SQL", help="Only completions for which this condition holds."
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write JSON Lines: one line for each completion with its messages, as the API sent them.

    Oldest first, with the images back in place: {"completion": {…}, "messages": […]}.
    """
    from chatlake.bootstrap.opened import open_lake  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.exports.raw import export_raw  # noqa: PLC0415

    if as_json and output == "-":
        raise UsageError(
            "--json needs a file: standard output cannot hold both", hint="Give --output FILE."
        )
    report = export_raw(open_lake(load_settings(config)), output, where=where)
    if as_json:
        with after_the_work():
            write_json({"output": output, **asdict(report)})
    _tell(report, output)


def _tell(report: RawExportReport, output: str) -> None:
    from chatlake.cli.words import count, size  # noqa: PLC0415

    place = "" if output == "-" else f" to {output}"
    note(f"{count(report.completions, 'completion')} written{place} ({size(report.bytes)})")
    if report.without_messages:
        warn(
            f"{count(report.without_messages, 'completion')} without messages; "
            "the export has null for them",
            "They could not be fetched yet; `chatlake backup` tries again.",
        )
    if report.without_completion:
        warn(
            f"{count(report.without_completion, 'completion')} lost except for the messages; "
            "the export has null for them",
            "A file was lost, and the source no longer has them.",
        )
    if report.missing_images:
        warn(
            f"{count(report.missing_images, 'image')} not in the lake; the export has references",
            "The configuration keeps references only (images: reference).",
        )
