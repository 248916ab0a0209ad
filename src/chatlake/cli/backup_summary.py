"""What a backup did, for people: figures on standard output, problems on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from chatlake.backup.items import SourceJob
from chatlake.backup.report import BackupReport, SourceReport, detail_without_id
from chatlake.bootstrap.opened import open_lake
from chatlake.cli.backup_json import status
from chatlake.cli.output import note, paint, printable, say, show_error, warn
from chatlake.cli.table import Cell, Layout, lines
from chatlake.cli.words import duration, shortened, size
from chatlake.config import Settings
from chatlake.errors import LakeError
from chatlake.model.counts import count
from chatlake.model.manifest import SourceRun

NOTHING_STORED = "the source returns an empty list: it keeps no completions for this key"
NOTHING_STORED_HINT = (
    "Only requests that send store=true are kept, in the key's own project; "
    "with zero data retention, nothing is ever kept."
)
_FAILURES_SHOWN = 10
_COLUMNS = (
    ("listed", "listed"), ("new", "new"), ("changed", "changed"), ("unchanged", "unchanged"),
    ("deleted", "deleted"), ("failed", "failed"), ("messages", "messages"),
    ("parts", "content_parts"), ("images", "images"),
)  # fmt: skip
_SHOWN_IF_ANY = ("changed", "deleted")
_HEADLINES = {
    "complete": ("Backup complete", "green"),
    "incomplete": ("Backup incomplete", "yellow"),
    "failed": ("Backup failed", "red"),
    "interrupted": ("Backup interrupted", "yellow"),
}


def show_summary(report: BackupReport) -> None:
    """Write the figures of each source, and where the lake is."""
    text, style = _HEADLINES[status(report)]
    if report.dry_run:
        text, style = "Dry run, nothing was written. A backup would do this", "bold"
    runs = [source.run for source in report.sources]
    say(f"{paint(text, style)}: {_headline_figure(runs)} in {duration(report.seconds)}")
    if runs:
        say()
        _show_figures(report)
        say()
    added = sum(run.files_added for run in runs)
    octets = sum(run.bytes_added for run in runs)
    grown = f" (+{count(added, 'file')}, {size(octets)})" if added else ""
    say(f"Lake: {report.lake}{grown}")
    if report.fingerprint and not report.dry_run:
        say(f"Commit {count(report.commit)}, fingerprint {report.fingerprint}")
    if report.new_lake and not report.dry_run:
        say(f"Note: created a new lake at {report.lake}")
    for run in runs:
        say(f"{run.source}: {_requests(run)}")
        if run.redaction and not report.dry_run:
            say(f"{run.source}: {_redacted(run)}")


def _headline_figure(runs: Sequence[SourceRun]) -> str:
    """Return how many completions were listed, and how many of them the lake already had."""
    listed, unchanged = (
        sum(getattr(run, name) for run in runs) for name in ("listed", "unchanged")
    )
    text = count(listed, "completion")
    if not unchanged:
        return text
    if unchanged == listed:
        return f"{text} checked again, unchanged,"
    return f"{text}, {count(unchanged)} of them checked again, unchanged,"


def _requests(run: SourceRun) -> str:
    text = count(run.requests, "request")
    if run.retries:
        text += f", {count(run.retries)} of them sent again"
    if run.rate_limited:
        text += f", {count(run.rate_limited, 'time')} rate limited"
    return text


def _redacted(run: SourceRun) -> str:
    kinds = ", ".join(f"{printable(kind)} {count(number)}" for kind, number in run.redacted.items())
    values = count(sum(run.redacted.values()), "value")
    return f"{values} redacted" + (f" ({kinds})" if kinds else " of what is new or changed")


def _show_figures(report: BackupReport) -> None:
    runs = [source.run for source in report.sources]
    columns = [
        (header, [getattr(run, name) for run in runs])
        for header, name in _COLUMNS
        if header not in _SHOWN_IF_ANY or any(getattr(run, name) for run in runs)
    ]
    rows = [
        [Cell(run.source), *(Cell(count(figures[i])) for _, figures in columns)]
        for i, run in enumerate(runs)
    ]
    headers = ["source", *(header for header, _ in columns)]
    for line in lines(Layout(headers, [False] + [True] * len(columns)), rows, "", ""):
        say("  " + line)


def show_problems(report: BackupReport, jobs: Sequence[SourceJob], settings: Settings) -> None:
    """Write failures, errors and warnings to standard error, each with what to do."""
    _show_failures(report)
    by_name = {job.name: job for job in jobs}
    for source in report.sources:
        if source.error is not None:
            show_error(f"{source.run.source}: {source.error.message}", source.error.hint)
        elif source.run.listed == 0 and report.stopped_by is None:
            _explain_nothing(source, by_name[source.run.source], settings)
    if report.stopped_by is not None:
        stored = sum(source.run.new + source.run.changed for source in report.sources)
        note(
            f"{paint('stopped:', 'yellow', sys.stderr)} {count(stored, 'completion')} of this run "
            "were committed; run the same command again to continue"
        )


def _show_failures(report: BackupReport) -> None:
    failures = [failure for source in report.sources for failure in source.failures]
    if not failures:
        return
    note(f"{count(len(failures), 'completion')} could not be fetched:")
    for failure in failures[:_FAILURES_SHOWN]:
        detail = shortened(printable(detail_without_id(failure)), 200)
        note(f"  {printable(failure.completion_id)}  {failure.reason}: {detail}")
    more = len(failures) - _FAILURES_SHOWN
    if more > 0:
        note(f"  … and {count(more)} more: chatlake sql 'FROM failures'")
    if report.stopped_by is None and not any(source.error for source in report.sources):
        note("Everything else was stored; the next backup tries these again.")
    else:
        note("The next backup tries these again.")


def _explain_nothing(source: SourceReport, job: SourceJob, settings: Settings) -> None:
    name = source.run.source
    filters = filters_of(job)
    if filters:
        warn(f"{name}: no completion matches {filters}", "Check `select` in the configuration.")
    elif job.ids is not None:
        if job.ids:
            return  # each id was left out for a reason that was reported
        warn(f"{name}: no completion ids are selected", "Check select.ids and select.ids_file.")
    elif not _holds(settings, name):
        warn(f"{name}: {NOTHING_STORED}", NOTHING_STORED_HINT)


def filters_of(job: SourceJob) -> str:
    """Return the filters of a job, in words; empty if it has none."""
    words = [job.filters] if job.filters else []
    for word, at in (("after", job.created_after), ("before", job.created_before)):
        if at is not None:
            words.append(f"created {word} {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC")
    return ", ".join(words)


def _holds(settings: Settings, source: str) -> bool:
    try:
        return bool(open_lake(settings).state.partitions(source))
    except LakeError:
        return False
