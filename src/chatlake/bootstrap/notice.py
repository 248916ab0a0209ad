"""What `notify` says of a run, in the shape that each receiver understands.

Text from outside (a server's message, an id) is quoted: as code where a chat knows it, as a run of
plain text in a Teams card, so that nothing in it becomes a link, a picture or a call.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from chatlake.backup.report import BackupReport, new_field_values, source_figures
from chatlake.config.references import without_keys
from chatlake.errors import ChatlakeError
from chatlake.model.counts import count
from chatlake.model.manifest import format_time
from chatlake.model.markup import chat_code
from chatlake.model.outside_text import one_line

_DISCORD_LENGTH: Final = 2000
_FIELDS_SHOWN: Final = 3
_NO_PREVIEWS: Final = 4  # Discord's flag SUPPRESS_EMBEDS


@dataclass(frozen=True, slots=True)
class Notice:
    """How a run ended: in figures, in a line for chats, and in one without any markup.

    `event`: complete, incomplete, failed or silent. `is_silent`: whether it reports a silent
    source, whatever the event is.
    """

    event: str
    is_silent: bool
    document: Mapping[str, Any]
    chat: str
    plain: str

    @property
    def events(self) -> set[str]:
        """The events that it reports: a target that wants one of these gets it."""
        return {self.event, "silent"} if self.is_silent else {self.event}


def notice_of(
    report: BackupReport,
    command: str,
    error: Exception | None,
    *,
    silences: Mapping[str, str] | None = None,
) -> Notice:
    """Return the notice of a run that has ended.

    `error`: what ended it, if it is not in the report. `silences`: source -> what to say of it.
    """
    silent = silences or {}
    status = report.status if error is None else "failed"
    event = "silent" if silent and status == "complete" else status
    code = report.exit_code
    if error is not None:
        code = error.exit_code if isinstance(error, ChatlakeError) else ChatlakeError.exit_code
    failures = sum(len(source.failures) for source in report.sources)
    host = socket.gethostname()
    head = f"chatlake {command} {status} on {host} (exit code {code}):"

    def line(quote: Callable[[str], str]) -> str:
        reasons = [_reason(report, error, failures, quote)]
        reasons += [f"{source}: {why}." for source, why in silent.items()]
        told = [*(filter(None, reasons))] or ["nothing is missing."]
        return " ".join([head, *told, *_new_fields(report, quote), f"Lake: {report.lake}"])

    chat = line(chat_code)
    document = {
        "command": command,
        "run_id": report.run_id,
        "status": status,
        "exit_code": code,
        "sources": [source_figures(source.run) for source in report.sources],
        "failures": failures,
        "lake": report.lake,
        "host": host,
        "finished_at": format_time(datetime.now(UTC)),
        "event": event,
        "silent": list(silent),
        "new_fields": new_field_values(report),
        "text": chat,
    }
    return Notice(event, bool(silent), document, chat, line(str))


def trial_notice(lake: str) -> Notice:
    """Return what `chatlake doctor --notify-test` sends."""
    host = socket.gethostname()
    text = f"chatlake test message from {host}: notifications arrive. Lake: {lake}"
    document = {
        "command": "doctor",
        "status": "test",
        "exit_code": 0,
        "lake": lake,
        "host": host,
        "finished_at": format_time(datetime.now(UTC)),
        "event": "test",
        "text": text,
    }
    return Notice("test", False, document, text, text)


def shaped(notice: Notice, shape: str) -> Mapping[str, Any]:
    """Return what is posted to a receiver of this shape: json, slack, teams or discord."""
    match shape:
        case "slack":
            return {"text": notice.chat.replace("&", "&amp;")}
        case "discord":
            text = notice.chat
            if len(text) > _DISCORD_LENGTH:
                text = text[: _DISCORD_LENGTH - 2].rstrip("`") + "`…"
            return {"content": text, "allowed_mentions": {"parse": []}, "flags": _NO_PREVIEWS}
        case "teams":
            return _card(notice.plain)
        case _:
            return notice.document


def _card(text: str) -> dict[str, Any]:
    """Return an adaptive card; unlike a TextBlock, a TextRun knows no Markdown."""
    runs = [{"type": "TextRun", "text": text}]
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [{"type": "RichTextBlock", "inlines": runs}],
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": content,
    }
    return {"type": "message", "attachments": [attachment]}


def _new_fields(report: BackupReport, quote: Callable[[str], str]) -> list[str]:
    fields = [each for source in report.sources for each in source.new_fields]
    told = []
    for each in fields[:_FIELDS_SHOWN]:
        example = f", e.g. in {_shown(each.completion_id, quote)}" if each.completion_id else ""
        told.append(
            f"{each.source} sends a field that chatlake does not know: "
            f"{_shown(each.field, quote)}{example}."
        )
    more = len(fields) - len(told)
    return [*told, f"And {count(more, 'more such field')}."] if more else told


def _shown(text: str, quote: Callable[[str], str]) -> str:
    return quote(without_keys(one_line(text)).rstrip("."))


def _reason(
    report: BackupReport, error: Exception | None, failures: int, quote: Callable[[str], str]
) -> str:
    if error is not None:
        what = error.message if isinstance(error, ChatlakeError) else f"{type(error).__name__}"
        return f"{_shown(what, quote)}."
    reasons = [
        f"{source.run.source}: {_shown(source.error.message, quote)}."
        for source in report.sources
        if source.error is not None
    ]
    if failures:
        listed = sum(source.run.listed for source in report.sources)
        reasons.append(f"{failures:,} of {count(listed, 'completion')} could not be fetched.")
    return " ".join(reasons)
