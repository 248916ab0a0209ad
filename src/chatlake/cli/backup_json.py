"""The report of `chatlake backup --json`."""

from __future__ import annotations

from typing import Any

from chatlake.backup.report import BackupReport, new_field_values, source_figures
from chatlake.errors import ChatlakeError, RunInterruptedError, RunTerminatedError
from chatlake.model.outside_text import strike_out


def backup_document(report: BackupReport) -> dict[str, Any]:
    """Return the report as JSON values; `error` is there when a source or the run failed."""
    runs = [source.run for source in report.sources]
    document: dict[str, Any] = {
        "run_id": report.run_id,
        "status": status(report),
        "started_at": report.started_at,
        "seconds": report.seconds,
        "sources": [source_figures(run) for run in runs],
        "failures": [
            {
                "source": failure.source,
                "completion_id": failure.completion_id,
                "reason": failure.reason,
                "detail": failure.detail,
                "request_id": failure.request_id,
            }
            for source in report.sources
            for failure in source.failures
        ],
        "new_fields": new_field_values(report),
        "files_added": sum(run.files_added for run in runs),
        "bytes_added": sum(run.bytes_added for run in runs),
        "lake": report.lake,
        "commit": report.commit,
        "fingerprint": report.fingerprint or None,
    }
    if report.new_lake and not report.dry_run:
        document["new_lake"] = True
    if report.dry_run:
        document["dry_run"] = True
    error = first_error(report)
    if error is not None:
        document["error"] = {
            "kind": error.kind,
            "message": strike_out(error.message),
            "hint": error.hint,
        }
    return document


def status(report: BackupReport) -> str:
    """Return the report's status; a run that was stopped before it began is interrupted too."""
    return "interrupted" if report.stopped_by is not None else report.status


def first_error(report: BackupReport) -> ChatlakeError | None:
    """Return what gave the exit code: the interruption, else the first source's error."""
    if report.stopped_by is not None:
        kind = RunTerminatedError if report.exit_code == 143 else RunInterruptedError
        return kind("the backup was stopped by a signal")
    return next((source.error for source in report.sources if source.error is not None), None)
