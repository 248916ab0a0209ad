"""The options that the exports for training and evaluation share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from chatlake.errors import UsageError

if TYPE_CHECKING:
    from chatlake.exports.training_lines import TrainingOptions

ChoiceOption = Annotated[
    str,
    typer.Option(
        "--choice", metavar="0|all", help="Use the first reply, or write a line for each reply."
    ),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="REASON",
        help=(
            "Keep replies that are otherwise left out: length, content_filter, refusal, empty; "
            "repeatable."
        ),
    ),
]
RepairOption = Annotated[
    bool,
    typer.Option(
        "--repair-tools",
        help=(
            "Fill in the tool calls of inputs, which the API does not store, from the completion "
            "that made them."
        ),
    ),
]
ImagesOption = Annotated[
    str,
    typer.Option(
        "--images",
        metavar="keep|drop|skip",
        help="Keep images, drop them from the messages, or skip completions that have some.",
    ),
]
MaxImagesOption = Annotated[
    int,
    typer.Option("--max-images", metavar="N", help="Skip completions with more images than this."),
]
DedupeOption = Annotated[
    str,
    typer.Option(
        "--dedupe",
        metavar="exact|input|longest|none",
        help="Skip repeated lines, repeated inputs, or earlier turns of a conversation.",
    ),
]
SplitOption = Annotated[
    float | None,
    typer.Option(
        "--split",
        metavar="P",
        help="The share of conversations for training; the rest are for validation.",
    ),
]
GroupOption = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="metadata.KEY",
        help="Split by this value instead of by the first user message.",
    ),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="N",
        help="Skip completions that used more tokens than this, as stored.",
    ),
]


def training_options(
    *,
    choice: str,
    keep: list[str] | None,
    repair_tools: bool,
    images: str,
    max_images: int,
    train_all: bool,
    dedupe: str,
    split: float | None,
    group_by: str | None,
    max_tokens: int | None,
) -> TrainingOptions:
    """Return the options of an export for training. UsageError for an unknown choice."""
    from chatlake.exports.chat_content import ImageRules, Images  # noqa: PLC0415
    from chatlake.exports.chat_line import LineRules  # noqa: PLC0415
    from chatlake.exports.dedupe import Dedupe  # noqa: PLC0415
    from chatlake.exports.training_lines import TrainingOptions  # noqa: PLC0415

    rules = LineRules(
        keep=frozenset(keep or ()),
        images=ImageRules(one_of("--images", images, get_args(Images)), max_images),
        train_all=train_all,
        max_tokens=max_tokens,
    )
    return TrainingOptions(
        rules=rules,
        all_choices=one_of("--choice", choice, ("0", "all")) == "all",
        repair_tools=repair_tools,
        dedupe=one_of("--dedupe", dedupe, get_args(Dedupe)),
        split=split,
        group_by=group_by,
    )


def one_of(option: str, value: str, choices: tuple[str, ...]) -> Any:
    """Return the value of an option if it is one of its choices; UsageError if it is not."""
    if value not in choices:
        raise UsageError(f"{option} is {value!r}", hint=f"Give one of {', '.join(choices)}.")
    return value
