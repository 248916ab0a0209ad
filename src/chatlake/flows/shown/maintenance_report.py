"""What a maintenance did, and its artifacts: figures as markdown, findings as a table."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from chatlake.bootstrap.forgetting import ForgetReport
from chatlake.errors import ChatlakeError, LakeLockedError
from chatlake.flows.shown.artifacts import advice, row, size
from chatlake.lake.compacting import CompactionReport
from chatlake.lake.vacuum import Unlisted
from chatlake.model.counts import count
from chatlake.model.markup import as_cell, code
from chatlake.storage.interface import StoredFile
from chatlake.verify.findings import VerifyReport

logger = logging.getLogger("chatlake.flows")

MAINTENANCE_KEY = "chatlake-maintenance"
FINDINGS_KEY = "chatlake-findings"
_FINDINGS_SHOWN = 1000


@dataclass(slots=True)
class Maintenance:
    """What a maintenance did; None: it did not get that far."""

    lake: str
    expired: ForgetReport | None = None
    compacted: CompactionReport | None = None
    verified: VerifyReport | None = None
    removed: list[StoredFile] | None = None
    unlisted: Unlisted | None = None
    damaged: list[str] = field(default_factory=list)


def leave_maintenance(done: Maintenance) -> None:
    """Create the figures and findings of a maintenance."""
    findings = [] if done.verified is None else done.verified.findings
    damage: list[tuple[str, str, str, str]] = [
        (finding.path, finding.kind, finding.problem, finding.remedy) for finding in findings
    ]
    named = {path for path, *_ in damage}
    damage += [("", "not merged", text, "") for text in done.damaged if not _is_of(text, named)]
    most = min(len(damage), _FINDINGS_SHOWN)
    rest = "" if most == len(damage) else f", the first {most:,} of them here"
    what = count(len(damage), "problem") + rest
    _leave_maintenance(maintenance_markdown(done), damage, what)


def leave_maintenance_error(error: ChatlakeError) -> None:
    """Create the report of a maintenance that an error ended."""
    text = (
        f"## Maintenance: failed\n\n{error.kind}: {code(error.message)}\n\n{advice(error.hint)}\n"
    )
    _leave_maintenance(text, [], "the maintenance ended with an error")


def leave_maintenance_skipped(error: LakeLockedError) -> None:
    """Create the report of a maintenance that ended because another run was writing."""
    _leave_maintenance(
        f"## Maintenance: skipped\n\n{code(error.message)}\n", [], "another run was writing"
    )


def maintenance_markdown(done: Maintenance) -> str:
    """The figures of a maintenance."""
    merged, read = done.compacted, done.verified
    is_sound = not done.damaged and read is not None and read.is_sound
    lines = [f"## Maintenance: {'no damage' if is_sound else 'damaged'}", "", "| | |", "|:--|--:|"]
    if done.expired is not None:
        receipt = done.expired.receipt
        lines += [row("completions older than keep, erased", [f"{receipt.completions:,}"])]
    if merged is not None:
        lines += [
            row("small files merged", [f"{merged.merged:,} into {merged.added:,}"]),
            row("their size", [f"{size(merged.merged_bytes)}, now {size(merged.added_bytes)}"]),
        ]
    if read is not None:
        lines += [
            row("files read again", [f"{read.files:,} of {read.listed_files:,} ({read.subset})"]),
            row("bytes read", [size(read.bytes)]),
            row("rows read", [f"{read.rows:,}"]),
            row("problems", [f"{len(read.findings):,}"]),
        ]
    if done.removed is not None and done.unlisted is not None:
        octets = size(sum(file.size for file in done.removed))
        lines += [
            row("old files removed", [f"{len(done.removed):,} ({octets})"]),
            row("unlisted files, not old enough yet", [f"{len(done.unlisted.kept):,}"]),
        ]
    else:
        lines.append(row("old files removed", ["none: the lake is damaged"]))
    return "\n".join([*lines, "", f"- lake: {code(done.lake)}", ""])


def _leave_maintenance(text: str, damage: list[tuple[str, str, str, str]], what: str) -> None:
    head = ("file", "kind", "problem", "remedy")
    try:
        create_markdown_artifact(text, key=MAINTENANCE_KEY)
        create_table_artifact(
            [
                dict(zip(head, (*map(as_cell, found[:-1]), advice(found[-1])), strict=True))
                for found in damage[:_FINDINGS_SHOWN]
            ],
            key=FINDINGS_KEY,
            description=what,
        )
    except Exception as problem:  # noqa: BLE001 - the state says it too
        logger.warning("Prefect did not accept the run's artifacts: %s", problem)


def _is_of(text: str, paths: set[str]) -> bool:
    return any(path in text for path in paths)
