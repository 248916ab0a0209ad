"""Tells the targets of `notify` how a run ended, and pings its monitors.

A message goes to each target that wants the event. A ping says three things: a backup starts, a
backup of all sources is complete, something failed. A run of a part (`--source`, `--ids-file`)
pings no success, because the monitor would take it for a backup of everything. Nothing is sent for
a dry run, for an interrupted run, and for one that finds another run writing: that other run does
the work, and reports how it ends.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from chatlake.api.notification import ATTEMPTS, Outgoing, SendResult, deliver
from chatlake.backup.items import SourceJob
from chatlake.backup.report import BackupReport, new_report
from chatlake.bootstrap.notice import Notice, notice_of, shaped, trial_notice
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.config import NotifyTarget, Settings
from chatlake.config.references import without_keys
from chatlake.errors import ChatlakeError, LakeLockedError, RunInterruptedError

logger = logging.getLogger(__name__)

Signal = Literal["start", "success", "failure", "log"]
"""What a ping says; `log`: a test, which a monitor notes without counting it."""

_SUFFIXES = {"start": "/start", "success": "", "failure": "/fail", "log": "/log"}


@contextlib.contextmanager
def notifying(
    settings: Settings, report: BackupReport, *, command: str = "backup", whole: bool = False
) -> Iterator[None]:
    """Tell, when the block ends with an error or without, how the run of the report ended.

    `command`: the name of the command. `whole`: whether it was a backup of all that the
    configuration selects. Whatever becomes of the messages, the block's error and the report stay
    as they are.
    """
    try:
        yield
    except Exception as error:
        _tell(settings, report, command, error, whole=whole)
        raise
    _tell(settings, report, command, None, whole=whole)


def tell_failure(settings: Settings, error: ChatlakeError, *, command: str) -> None:
    """Report the failure of a command other than a backup, such as a `verify` that found damage."""
    _tell(settings, new_report(settings.lake_location), command, error, whole=False)


def tell_start(settings: Settings, report: BackupReport, *, whole: bool) -> None:
    """Ping the monitors that a backup of everything starts: one attempt, for it must not wait."""
    if whole and not report.dry_run:
        for target in settings.notify:
            _ping(target, "start", f"chatlake backup {report.run_id} starts", attempts=1)


def is_whole(settings: Settings, jobs: Sequence[SourceJob]) -> bool:
    """Say whether jobs cover every source, and of each all that the configuration selects."""
    whole = {
        job.name for job in jobs if job.mode != "ids" or settings.source(job.name).select.has_ids
    }
    return whole == {source.name for source in settings.sources}


def _tell(
    settings: Settings, report: BackupReport, command: str, error: Exception | None, *, whole: bool
) -> None:
    if not settings.notify or not _is_told(report, error):
        return
    try:
        silences = {each.source: str(each) for each in report.silences} if error is None else {}
        notice = notice_of(report, command, error, silences=silences)
    except Exception as problem:  # noqa: BLE001 - the run's own end counts
        logger.warning("no notification was sent: %s", without_keys(type(problem).__name__))
        return
    is_complete = error is None and report.status == "complete"
    for target in settings.notify:
        if target.ping is None:
            if notice.events.intersection(target.on):
                _post(target, notice)
        elif not is_complete:
            _ping(target, "failure", notice.plain)
        elif whole:
            _ping(target, "success", notice.plain)


def _is_told(report: BackupReport, error: Exception | None) -> bool:
    """Say whether anybody is notified of a run with this end."""
    if report.dry_run or report.stopped_by is not None or isinstance(error, RunInterruptedError):
        return False
    # Neither an error nor a source: maintenance that went well, or a run that has yet to begin.
    return bool(report.sources) or not (error is None or isinstance(error, LakeLockedError))


def _post(target: NotifyTarget, notice: Notice) -> None:
    _warn_unless_taken(_sent(lambda: _message(target, notice)), "the notification")


def _ping(target: NotifyTarget, signal: Signal, text: str, *, attempts: int = ATTEMPTS) -> None:
    result = _sent(lambda: _ping_message(target, signal, text), attempts)
    _warn_unless_taken(result, f"the {signal} ping")


def _warn_unless_taken(result: SendResult | None, what: str) -> None:
    if result is not None and not result.taken:
        advice = f". {result.advice}" if result.advice else ""
        logger.warning("%s could not be sent: %s%s", what, result.answer, advice)


def try_target(target: NotifyTarget, lake: str) -> tuple[str, SendResult]:
    """Send a test to a target; returns what was sent, in words, and what became of it.

    A monitor notes a `log` ping without counting it. A monitor with one address for each signal
    gets a start ping, or else a success ping: anything else would alert somebody.
    """
    notice = trial_notice(lake)
    if target.ping is None:
        result = _sent(lambda: _message(target, notice))
        return "a test message", result or SendResult(False, "not sent")
    signal: Signal = "log"
    if target.ping.url is None:
        signal = "success" if target.ping.start is None else "start"
    result = _sent(lambda: _ping_message(target, signal, notice.plain))
    return f"a {signal} ping", result or SendResult(False, "not sent")


def _sent(build: Callable[[], Outgoing | None], attempts: int = ATTEMPTS) -> SendResult | None:
    """Send what is built; None where there is nothing to send. Never raises."""
    try:
        message = build()
        return None if message is None else deliver(message, attempts=attempts)
    except RunInterruptedError:  # a signal: it ends the run, not only the message
        raise
    except ChatlakeError as error:  # the address cannot be read: `doctor` says so too
        return SendResult(False, without_keys(error.message), error.hint)
    except Exception as problem:  # noqa: BLE001 - the run's own end counts
        return SendResult(False, without_keys(type(problem).__name__))


def _message(target: NotifyTarget, notice: Notice) -> Outgoing | None:
    if target.url is None:
        return None
    url = target.url.resolve(load_prefect_secret)
    return Outgoing(url, document=shaped(notice, target.format))


def _ping_message(target: NotifyTarget, signal: Signal, text: str) -> Outgoing | None:
    ping = target.ping
    if ping is None:
        return None
    if ping.url is not None:
        url = urlsplit(ping.url.resolve(load_prefect_secret))
        path = url.path.rstrip("/") + _SUFFIXES[signal]
        return Outgoing(urlunsplit(url._replace(path=path)), text=text)
    address = None if signal == "log" else getattr(ping, signal)
    if address is None:
        return None
    return Outgoing(address.resolve(load_prefect_secret), method="GET")
