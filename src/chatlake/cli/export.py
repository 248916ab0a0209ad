"""`chatlake export`: the lake's contents in other formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from chatlake.cli.export_options import FileOption, FolderOption, exporting
from chatlake.cli.options import examples
from chatlake.cli.output import warn
from chatlake.cli.training_options import (
    ChoiceOption,
    DedupeOption,
    GroupOption,
    ImagesOption,
    KeepOption,
    MaxImagesOption,
    RepairOption,
    SplitOption,
    TokensOption,
    one_of,
    training_options,
)

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


@app.command(
    "finetune",
    epilog=examples(
        "chatlake export finetune --output tune.jsonl",
        "chatlake export finetune --where \"metadata['team'] = 'support'\" --dedupe longest "
        "--repair-tools --split 0.9 --output tune.jsonl",
    ),
)
@exporting
def finetune(
    lake: Lake,
    selection: Selection,
    output: FileOption,
    choice: ChoiceOption = "0",
    keep: KeepOption = None,
    *,
    repair_tools: RepairOption = False,
    images: ImagesOption = "keep",
    max_images: MaxImagesOption = 10,
    train: Annotated[
        str,
        typer.Option(
            "--train",
            metavar="last|all",
            help="Train only on the last reply (earlier ones get weight 0), or on all.",
        ),
    ] = "last",
    dedupe: DedupeOption = "exact",
    split: SplitOption = None,
    group_by: GroupOption = None,
    max_tokens: TokensOption = None,
) -> ExportReport:
    """Write chat JSON Lines for fine-tuning.

    Each line has messages, tools if there are any, and one reply. Completions that a trainer would
    refuse are skipped; the report beside the file counts them by reason. With --split, the rest
    goes to NAME.validation.jsonl beside it.
    """
    from chatlake.exports.finetune import export_finetune  # noqa: PLC0415

    train = one_of("--train", train, ("last", "all"))
    options = training_options(
        choice=choice, keep=keep, repair_tools=repair_tools, images=images, max_images=max_images,
        train_all=train == "all", dedupe=dedupe, split=split, group_by=group_by,
        max_tokens=max_tokens,
    )  # fmt: skip
    return export_finetune(lake, output, selection, options)


@app.command(
    "hf",
    epilog=examples(
        "chatlake export hf --output dataset",
        "chatlake export hf --style prompt-completion --split 0.95 --output dataset",
    ),
)
@exporting
def hf(
    lake: Lake,
    selection: Selection,
    output: FolderOption,
    style: Annotated[
        str,
        typer.Option(
            "--style",
            metavar="messages|prompt-completion",
            help="One column, messages, or two: prompt and completion.",
        ),
    ] = "messages",
    *,
    choice: ChoiceOption = "0",
    keep: KeepOption = None,
    repair_tools: RepairOption = False,
    images: ImagesOption = "keep",
    max_images: MaxImagesOption = 10,
    dedupe: DedupeOption = "exact",
    split: SplitOption = None,
    group_by: GroupOption = None,
    max_tokens: TokensOption = None,
) -> ExportReport:
    """Write a folder for Hugging Face's datasets.

    It has README.md and data/*.parquet, and datasets.load_dataset loads it. The rules are those of
    `export finetune`. Tool-call arguments are objects.
    """
    from chatlake.exports.hf import export_hf  # noqa: PLC0415
    from chatlake.exports.hf_rows import Style  # noqa: PLC0415

    options = training_options(
        choice=choice, keep=keep, repair_tools=repair_tools, images=images, max_images=max_images,
        train_all=True, dedupe=dedupe, split=split, group_by=group_by, max_tokens=max_tokens,
    )  # fmt: skip
    return export_hf(lake, output, selection, options, one_of("--style", style, get_args(Style)))


@app.command(
    "eval",
    epilog=examples(
        "chatlake export eval --for inspect --output samples.jsonl",
        "chatlake export eval --for promptfoo --sample 0.1 --output tests.jsonl",
    ),
)
@exporting
def evaluation(
    lake: Lake,
    selection: Selection,
    output: FileOption,
    program: Annotated[
        str,
        typer.Option("--for", metavar="inspect|promptfoo", help="The program that reads it."),
    ] = "inspect",
    *,
    choice: ChoiceOption = "0",
    keep: KeepOption = None,
    repair_tools: RepairOption = False,
    images: ImagesOption = "keep",
    max_images: MaxImagesOption = 10,
    dedupe: DedupeOption = "exact",
    max_tokens: TokensOption = None,
) -> ExportReport:
    """Write samples for an evaluation program.

    A sample has id, input, target (the stored reply) and metadata. The rules are those of `export
    finetune`.
    """
    from chatlake.exports.evals import Program, export_eval  # noqa: PLC0415

    options = training_options(
        choice=choice, keep=keep, repair_tools=repair_tools, images=images, max_images=max_images,
        train_all=True, dedupe=dedupe, split=None, group_by=None, max_tokens=max_tokens,
    )  # fmt: skip
    reader = one_of("--for", program, get_args(Program))
    return export_eval(lake, output, selection, options, reader)


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
    from chatlake.cli.words import count  # noqa: PLC0415

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
