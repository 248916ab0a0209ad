"""Artifacts of a run: its figures as markdown, its failures as a table. No content, no secret."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from chatlake.backup.report import FIGURES, BackupReport, detail_without_id
from chatlake.errors import ChatlakeError, LakeLockedError
from chatlake.model.counts import count
from chatlake.model.manifest import Failure, SourceRun
from chatlake.model.markup import as_cell, code
from chatlake.model.outside_text import strike_out

logger = logging.getLogger("chatlake.flows")

REPORT_KEY = "chatlake-report"
FAILURES_KEY = "chatlake-failures"
FAILURES_SHOWN = 1000
_KINDS_SHOWN = 10


def leave_artifacts(report: BackupReport) -> None:
    """Create both artifacts; a run never fails because Prefect does not accept them."""
    failures = [failure for source in report.sources for failure in source.failures]
    shown = failures[:FAILURES_SHOWN]
    rest = "" if len(shown) == len(failures) else f", the first {len(shown):,} of them here"
    try:
        create_markdown_artifact(
            report_markdown(report), key=REPORT_KEY, description=f"Backup {report.run_id}"
        )
        create_table_artifact(
            [
                # Prefect's page shows the first columns, and does not wrap their text.
                {
                    "reason": failure.reason,
                    "detail": as_cell(_detail(failure)),
                    "completion_id": as_cell(failure.completion_id),
                    "source": failure.source,
                    "request_id": as_cell(failure.request_id),
                }
                for failure in shown
            ],
            key=FAILURES_KEY,
            description=f"{count(len(failures), 'completion')} could not be fetched{rest}",
        )
    except Exception as error:  # noqa: BLE001 - what is in the lake counts
        logger.warning("Prefect did not accept the run's artifacts: %s", error)


def leave_error(error: ChatlakeError) -> None:
    """Create the report of a run that an error ended before it had figures."""
    _leave(
        f"## Backup: failed\n\n{error.kind}: {code(error.message)}\n\n{advice(error.hint)}\n",
        "the run ended with an error",
    )


def leave_skipped(error: LakeLockedError) -> None:
    """Create the report of a run that did nothing because another one was writing."""
    _leave(f"## Backup: skipped\n\n{code(error.message)}\n", "another run was writing")


def _leave(report: str, why_no_failures: str) -> None:
    try:
        create_markdown_artifact(report, key=REPORT_KEY)
        create_table_artifact([], key=FAILURES_KEY, description=why_no_failures)
    except Exception as problem:  # noqa: BLE001 - the run's end itself counts
        logger.warning("Prefect did not accept the run's artifacts: %s", problem)


def report_markdown(report: BackupReport) -> str:
    """What went wrong, then the run's figures: one column per source."""
    runs = [source.run for source in report.sources]
    heads = [f"`{run.source}`" for run in runs]
    lines = [f"## Backup: {report.status}", ""]
    lines += [
        f"**{source.run.source}: {source.error.kind}**: {code(source.error.message)} "
        f"{advice(source.error.hint)}\n"
        for source in report.sources
        if source.error is not None
    ]
    lines += _failures_markdown([each for source in report.sources for each in source.failures])
    lines += [
        f"| | {' | '.join(heads)} |",
        f"|:--|{'--:|' * len(runs)}",
        row("status", [run.status for run in runs]),
        row("mode", [run.mode for run in runs]),
        *(row(name.replace("_", " "), [_number(run, name) for run in runs]) for name in FIGURES),
        row("files added", [_number(run, "files_added") for run in runs]),
        row("size added", [size(run.bytes_added) for run in runs]),
        row("seconds", [f"{run.seconds:,.1f}" for run in runs]),
        "",
        f"- lake: {code(report.lake)}",
        f"- run: `{report.run_id}`, started {report.started_at}, {report.seconds:,.1f} s",
        "",
    ]
    return "\n".join(lines)


def _failures_markdown(failures: Sequence[Failure]) -> list[str]:
    """Return what could not be fetched and why, alike ones together, where the page wraps text."""
    alike = Counter((each.source, each.reason, _detail(each)) for each in failures)
    if not alike:
        return []
    lines = [f"### {count(len(failures), 'completion')} could not be fetched", ""]
    lines += ["| completions | source | reason | detail |", "|--:|:--|:--|:--|"]
    lines += [
        row(f"{number:,}", [f"`{source}`", reason, _in_table(as_cell(detail))])
        for (source, reason, detail), number in alike.most_common(_KINDS_SHOWN)
    ]
    if len(alike) > _KINDS_SHOWN:
        lines.append(
            row(
                f"{alike.total() - sum(n for _, n in alike.most_common(_KINDS_SHOWN)):,}",
                ["", "", "others"],
            )
        )
    return [*lines, "", f"The artifact `{FAILURES_KEY}` names each. The next run tries again.", ""]


def _detail(failure: Failure) -> str:
    """Return what happened to a completion, without the ids, which have columns of their own."""
    detail = detail_without_id(failure)
    if failure.request_id:
        detail = detail.replace(f" (request {failure.request_id})", "")
    return detail


def _in_table(cell: str) -> str:
    return cell.replace("|", "\\|")


def row(name: str, cells: list[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {name} | {' | '.join(cells)} |"


def _number(run: SourceRun, name: str) -> str:
    return f"{getattr(run, name):,}"


def size(octets: int) -> str:
    """Return a number of bytes as `512 bytes`, `34.5 MiB`."""
    size, units = float(octets), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return count(octets, "byte") if units[0] == "bytes" else f"{size:,.1f} {units[0]}"


def advice(text: str) -> str:
    """Return what to do about an error; text in backticks is a command."""
    text = " ".join(strike_out(text).split())
    return text.replace("<", "&lt;").replace("[", "\\[")
