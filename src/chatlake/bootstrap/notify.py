"""Posts to the address of `notify` when a backup or a maintenance did not end well."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from chatlake.api.notification import post_notification
from chatlake.backup.report import BackupReport, source_figures
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.config import Settings
from chatlake.config.references import without_keys
from chatlake.errors import ChatlakeError, LakeLockedError, RunInterruptedError
from chatlake.model.manifest import format_time
from chatlake.model.markup import chat_code
from chatlake.model.outside_text import one_line

logger = logging.getLogger(__name__)

_TOLD = ("incomplete", "failed")


@contextlib.contextmanager
def notifying(
    settings: Settings, report: BackupReport, *, command: str = "backup"
) -> Iterator[None]:
    """Post once when the block ends with an error, or the report as incomplete or failed.

    `command`: what ended. Nothing is posted for a dry run, for an interrupted run, or for a run
    that finds another one writing: the other run does the work and reports its own end. The
    notification never changes the block's error or the report.
    """
    try:
        yield
    except Exception as error:
        _notify(settings, report, command, error)
        raise
    if report.status in _TOLD:
        _notify(settings, report, command, None)


def _notify(
    settings: Settings, report: BackupReport, command: str, error: Exception | None
) -> None:
    if settings.notify is None or report.dry_run or report.stopped_by is not None:
        return
    if isinstance(error, RunInterruptedError):
        return
    if isinstance(error, LakeLockedError) and not report.sources:
        return
    try:
        url = settings.notify.resolve(load_prefect_secret)
        post_notification(url, notification(report, command, error))
    except Exception as problem:  # noqa: BLE001 - the run's own end counts
        logger.warning("no notification was sent: %s", without_keys(type(problem).__name__))


def notification(report: BackupReport, command: str, error: Exception | None) -> dict[str, Any]:
    """Return what is posted; `text` says it all in a line, which is what chats show."""
    status = report.status if error is None else "failed"
    code = report.exit_code
    if error is not None:
        code = error.exit_code if isinstance(error, ChatlakeError) else ChatlakeError.exit_code
    failures = sum(len(source.failures) for source in report.sources)
    host = socket.gethostname()
    return {
        "command": command,
        "run_id": report.run_id,
        "status": status,
        "exit_code": code,
        "sources": [source_figures(source.run) for source in report.sources],
        "failures": failures,
        "lake": report.lake,
        "host": host,
        "finished_at": format_time(datetime.now(UTC)),
        "text": f"chatlake {command} {status} on {host} (exit code {code}): "
        f"{_reason(report, error, failures)} Lake: {report.lake}",
    }


def _reason(report: BackupReport, error: Exception | None, failures: int) -> str:
    if error is not None:
        what = error.message if isinstance(error, ChatlakeError) else f"{type(error).__name__}"
        return f"{_shown(what)}."
    reasons = [
        f"{source.run.source}: {_shown(source.error.message)}."
        for source in report.sources
        if source.error is not None
    ]
    if failures:
        listed = sum(source.run.listed for source in report.sources)
        reasons.append(f"{failures:,} of {listed:,} completions could not be fetched.")
    return " ".join(reasons)


def _shown(text: str) -> str:
    """Return text from outside as a chat shows it: as code, with nothing that acts."""
    return chat_code(without_keys(one_line(text)).rstrip("."))
