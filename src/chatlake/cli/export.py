"""`chatlake export`: the lake's contents in other formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatlake.cli.export_options import FileOption, FolderOption, exporting
from chatlake.cli.export_training import evaluation, finetune, hf
from chatlake.cli.options import examples
from chatlake.cli.output import warn

if TYPE_CHECKING:
    from chatlake.exports.narrowing import Selection
    from chatlake.exports.raw import RawExportReport
    from chatlake.exports.report import ExportReport
    from chatlake.lake.lake import Lake

app = typer.Typer(
    help="Write completions to files in other formats.",
    rich_markup_mode=None,
    epilog=examples(
        "chatlake export raw --output backup.jsonl",
        "chatlake export finetune --since 30d --split 0.9 --output tune.jsonl",
    ),
)


@app.callback()
def _export() -> None:
    pass


@app.command(
    "raw",
    epilog=examples(
        "chatlake export raw --output backup.jsonl",
        "chatlake export raw --where \"model LIKE 'gpt-4o%'\" --output - | gzip > gpt-4o.jsonl.gz",
    ),
)
@exporting
def raw(lake: Lake, selection: Selection, output: FileOption) -> ExportReport:
    """Write JSON Lines, as the API sent them.

    Each line is one completion with its messages. The oldest come first, and images are back in
    place: {"completion": {…}, "messages": […]}.
    """
    from chatlake.exports.raw import export_raw  # noqa: PLC0415

    report = export_raw(lake, output, selection=selection)
    _warn_of_gaps(report)
    return report.as_export(lake.state.number, selection, output)


app.command(
    "finetune",
    epilog=examples(
        "chatlake export finetune --output tune.jsonl",
        "chatlake export finetune --where \"metadata['team'] = 'support'\" --dedupe longest "
        "--repair-tools --split 0.9 --output tune.jsonl",
    ),
)(finetune)
app.command(
    "hf",
    epilog=examples(
        "chatlake export hf --output dataset",
        "chatlake export hf --style prompt-completion --split 0.95 --output dataset",
    ),
)(hf)
app.command(
    "eval",
    epilog=examples(
        "chatlake export eval --for inspect --output samples.jsonl",
        "chatlake export eval --for promptfoo --sample 0.1 --output tests.jsonl",
    ),
)(evaluation)


@app.command("markdown", epilog=examples("chatlake export markdown --since 7d --output week"))
@exporting
def markdown(lake: Lake, selection: Selection, output: FolderOption) -> ExportReport:
    """Write a folder of Markdown files.

    Each completion is YYYY-MM-DD/ID.md, with its images as files beside it.
    """
    from chatlake.exports.markdown import export_markdown  # noqa: PLC0415

    return export_markdown(lake, output, selection)


@app.command(
    "html",
    epilog=examples(
        "chatlake export html --since 1d --output day.html",
        "chatlake export html --output pages",
    ),
)
@exporting
def html(
    lake: Lake,
    selection: Selection,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="PATH",
            help="FILE.html for one page, or a folder for one page per completion and index.html.",
        ),
    ],
) -> ExportReport:
    """Write conversations as HTML to read or print.

    The page has no scripts and loads nothing; its images are embedded.
    """
    from chatlake.exports.html import export_html  # noqa: PLC0415

    return export_html(lake, output, selection)


@app.command("images", epilog=examples("chatlake export images --output pictures"))
@exporting
def images(lake: Lake, selection: Selection, output: FolderOption) -> ExportReport:
    """Write each embedded image once.

    index.csv lists every use. Links are listed there too, and never fetched.
    """
    from chatlake.exports.images import export_images  # noqa: PLC0415

    return export_images(lake, output, selection)


@app.command(
    "parquet",
    epilog=examples("chatlake export parquet --where \"model = 'gpt-4o'\" --output copy"),
)
@exporting
def parquet(lake: Lake, selection: Selection, output: FolderOption) -> ExportReport:
    """Write a clean Parquet copy of a selection.

    It has the rows of the tables, in one file per source and day.
    """
    from chatlake.exports.lake_copy import export_parquet  # noqa: PLC0415

    return export_parquet(lake, output, selection)


def _warn_of_gaps(report: RawExportReport) -> None:
    from chatlake.model.counts import count  # noqa: PLC0415

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
    if report.redacted_sources:
        warn(
            f"{', '.join(report.redacted_sources)}: the lake is redacted, and so is the export",
            "Redacted values were never stored; see `redact` in the configuration.",
        )
    if report.missing_images:
        warn(
            f"{count(report.missing_images, 'image')} not in the lake; the export has references",
            "The configuration keeps references only (images: reference).",
        )
