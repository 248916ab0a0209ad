"""`export finetune`: chat JSON Lines as OpenAI documents them, for this trainer and most others."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from chatlake.errors import UsageError
from chatlake.exports.destination import is_stream, open_export
from chatlake.exports.narrowing import Selection
from chatlake.exports.report import CountedFile, ExportReport, as_line
from chatlake.exports.training_lines import (
    TrainingOptions,
    options_given,
    training_lines,
    warn_if_few,
)
from chatlake.lake.lake import Lake


def export_finetune(
    lake: Lake,
    output: str | os.PathLike[str],
    selection: Selection | None = None,
    options: TrainingOptions | None = None,
) -> ExportReport:
    """Write a line for each completion that can be one, and the report beside it.

    With a split `output` holds what is for training, and `<name>.validation.jsonl` beside it the
    rest. UsageError for a bad condition, option or path; LakeDamagedError for a damaged lake.
    """
    selection = selection or Selection()
    options = options or TrainingOptions()
    report = ExportReport(
        "finetune", lake.state.number, selection.as_options() | options_given(options)
    )
    paths = [Path(output)]
    if options.split is not None:
        if is_stream(output):
            raise UsageError("--split writes two files", hint="Give --output FILE.")
        paths.append(validation_path(paths[0]))
    with (
        training_lines(lake, selection, options, report) as lines,
        ExitStack() as stack,
    ):
        files = [
            CountedFile(stack.enter_context(open_export(path, is_json=True))) for path in paths
        ]
        for line in lines:
            files[0 if line.is_training else -1].write(as_line(line.line))
            report.wrote()
    for path, file, side in zip(paths, files, ("train", "validation"), strict=False):
        report.files.add(file.entry(path.name, split=side))
    warn_if_few(report, files[0].lines)
    report.write_beside(output)
    return report


def validation_path(output: Path) -> Path:
    """Return where the lines for validation go: `tune.validation.jsonl` beside `tune.jsonl`."""
    return output.with_name(f"{output.stem}.validation{output.suffix}")
