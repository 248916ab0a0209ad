"""The exports to train and evaluate models with: fine-tuning, Hugging Face, evaluation programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from chatlake.cli.export_options import FileOption, FolderOption, exporting
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
    from chatlake.exports.report import ExportReport
    from chatlake.lake.lake import Lake


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


@exporting
def evaluation(
    lake: Lake,
    selection: Selection,
    output: FileOption,
    program: Annotated[
        str,
        typer.Option(
            "--for", metavar="inspect|promptfoo", help="The program that will read the samples."
        ),
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
