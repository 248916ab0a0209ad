"""The lines for training, for every format, with counts of what is skipped."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from chatlake.errors import UsageError
from chatlake.exports.calls_repair import CallsRepair
from chatlake.exports.chat_line import (
    KEEPABLE,
    LineRules,
    candidates,
    first_user_text,
    line_of,
)
from chatlake.exports.dedupe import Dedupe, Digests, input_digest, line_digest, turn_digests
from chatlake.exports.narrowing import Selection, chosen
from chatlake.exports.report import ExportReport, SkippedError
from chatlake.exports.stored import Json, Stored, read_stored
from chatlake.lake.lake import Lake
from chatlake.model.counts import count

_WITH_CALLS: Final = (
    "(source, completion_id) IN (SELECT (source, completion_id) FROM messages "
    "WHERE direction = 'output' AND json_array_length(tool_calls) > 0)"
)
_GROUP: Final = re.compile(r"metadata\.(.+)", re.DOTALL)
FEW_LINES: Final = 10
"""Trainers refuse a file with fewer lines than this."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How completions become lines.

    `split`: the share of conversations for training, the rest are for validation; None: no split.
    `group_by`: `metadata.KEY`; conversations with the same value go to one side. By default, those
    with the same first user message do.
    """

    rules: LineRules = field(default_factory=LineRules)
    all_choices: bool = False
    repair_tools: bool = False
    dedupe: Dedupe = "exact"
    split: float | None = None
    group_by: str | None = None

    def __post_init__(self) -> None:
        for reason in self.rules.keep:
            if reason not in KEEPABLE:
                raise UsageError(
                    f"--keep is {reason!r}", hint=f"Give one of {', '.join(KEEPABLE)}."
                )
        if self.split is not None and not 0 < self.split < 1:
            raise UsageError(f"--split is {self.split}", hint="Give a share such as 0.9.")
        if self.group_by is not None:
            if self.split is None:
                raise UsageError("--group-by needs --split", hint="Add --split 0.9.")
            if not _GROUP.fullmatch(self.group_by):
                raise UsageError(
                    f"--group-by is {self.group_by!r}",
                    hint="Write metadata.KEY, such as metadata.user.",
                )


@dataclass(frozen=True, slots=True)
class TrainingLine:
    """A line, the completion and choice that it was made from, and its side of the split."""

    stored: Stored
    choice: Json
    line: Json
    is_training: bool


@contextmanager
def training_lines(
    lake: Lake, selection: Selection, options: TrainingOptions, report: ExportReport
) -> Iterator[Iterator[TrainingLine]]:
    """Give the lines of a selection, oldest first; `report` counts them and what is skipped."""
    with (
        chosen(lake, selection) as connection,
        tempfile.TemporaryDirectory(prefix="chatlake-") as folder,
        closing(_Maker(lake, connection, options, report, Path(folder))) as maker,
    ):
        if options.repair_tools:
            maker.prepare_repair(selection)
        if options.dedupe == "longest":
            maker.prepare_longest()
        yield maker.lines(selection.seed)


class _Maker:
    def __init__(
        self,
        lake: Lake,
        connection: duckdb.DuckDBPyConnection,
        options: TrainingOptions,
        report: ExportReport,
        folder: Path,
    ) -> None:
        self._lake = lake
        self._connection = connection
        self._options = options
        self._report = report
        self._repair = CallsRepair(folder) if options.repair_tools else None
        self._digests = Digests(folder)

    def close(self) -> None:
        self._digests.close()
        if self._repair is not None:
            self._repair.close()

    def prepare_repair(self, selection: Selection) -> None:
        """Index the tool calls of all replies in the lake, not only of those selected."""
        if self._repair is not None:
            everything = Selection(where=_WITH_CALLS, sources=selection.sources)
            with chosen(self._lake, everything) as connection:
                self._repair.add_all(read_stored(self._lake, connection))

    def prepare_longest(self) -> None:
        """Note every earlier turn that a line contains."""
        for stored in read_stored(self._lake, self._connection):
            for choice in candidates(stored, all_choices=self._options.all_choices):
                try:
                    line = line_of(stored, choice, self._options.rules, self._repair)
                except SkippedError:
                    continue
                for digest in turn_digests(line)[:-1]:
                    self._digests.add(digest)
        if self._repair is not None:
            self._repair.repaired_messages = 0

    def lines(self, seed: int) -> Iterator[TrainingLine]:
        for stored in read_stored(self._lake, self._connection):
            for choice in candidates(stored, all_choices=self._options.all_choices):
                try:
                    line = line_of(stored, choice, self._options.rules, self._repair)
                    self._require_new(line)
                except SkippedError as skipped:
                    self._report.skip(skipped.reason)
                    continue
                yield TrainingLine(
                    stored, choice or {}, line, self._is_training(stored, line, seed)
                )
        if self._repair is not None:
            self._report.more["repaired_messages"] = self._repair.repaired_messages

    def _require_new(self, line: Json) -> None:
        match self._options.dedupe:
            case "exact":
                digest = line_digest(line)
            case "input":
                digest = input_digest(line)
            case "longest":
                if turn_digests(line)[-1] in self._digests:
                    raise SkippedError("continued")
                digest = line_digest(line)
            case _:
                return
        if not self._digests.add(digest):
            raise SkippedError("duplicate")

    def _is_training(self, stored: Stored, line: Json, seed: int) -> bool:
        if self._options.split is None:
            return True
        return share_of(self._side_by(stored, line), seed) < self._options.split

    def _side_by(self, stored: Stored, line: Json) -> str:
        found = _GROUP.fullmatch(self._options.group_by or "")
        value = None if found is None else stored.metadata.get(found[1])
        return first_user_text(line) if value is None else f"\0{value}"


def share_of(text: str, seed: int) -> float:
    """Return where a text falls between 0 and 1, by a hash; the same for the same `seed`."""
    digest = hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def options_given(options: TrainingOptions) -> dict[str, Any]:
    """Return the options that change what is written, for the report."""
    rules = options.rules
    given: dict[str, Any] = {
        "choice": "all" if options.all_choices else 0,
        "keep": sorted(rules.keep),
        "images": rules.images.images,
        "max_images": rules.images.limit,
        "train": "all" if rules.train_all else "last",
        "dedupe": options.dedupe,
        "repair_tools": options.repair_tools,
    }
    optional = {
        "max_tokens": rules.max_tokens,
        "split": options.split,
        "group_by": options.group_by,
    }
    return given | {name: value for name, value in optional.items() if value is not None}


def warn_if_few(report: ExportReport, written: int, what: str = "line") -> None:
    """Warn if trainers would refuse the file because it is too short."""
    if written < FEW_LINES:
        report.warnings.append(
            f"only {count(written, what)}: OpenAI and most trainers need at least {FEW_LINES}"
        )
