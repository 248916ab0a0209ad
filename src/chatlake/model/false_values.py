"""What a manifest may contain but chatlake never writes: impossible times, days and figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import chain

from chatlake.model.counts import count
from chatlake.model.manifest import Checkpoint, Manifest, PartFile, parse_time

_FIRST = datetime(1, 1, 3, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
_MOST_SECONDS = 2**63 // 1_000_000
"""The range of a column of times, which counts microseconds."""


def false_value(document: Manifest | Checkpoint) -> str | None:
    """Return what a document contains that chatlake never writes: a time, a day or a figure.

    Else None. A document's SHA-256 shows accidents, not forgeries: a forger can write a matching
    one.
    """
    files = document.added if isinstance(document, Manifest) else document.files
    told = chain(map(_false_of_file, files), _false_moments(document), _false_seconds(document))
    return next(filter(None, told), None)


def _false_of_file(file: PartFile) -> str | None:
    for name in ("min_created_at", "max_created_at"):
        if not _is_time(getattr(file, name)):
            return f"{name} of {file.path} is not a time: {getattr(file, name)!r}"
    if not _is_day(file.created_date):
        return f"created_date of {file.path} is not a day: {file.created_date!r}"
    if file.rows < 0 or file.bytes < 0:
        return f"{file.path} cannot have {count(file.rows, 'row')} and {count(file.bytes, 'byte')}"
    return None


def _false_moments(document: Manifest | Checkpoint) -> Iterator[str]:
    moments: list[tuple[str, str | None]] = [("created_at", document.created_at or None)]
    for run in document.runs:
        moments.append((f"started_at of run {run.run_id}", run.started_at))
        moments.append((f"finished_at of run {run.run_id}", run.finished_at))
    for failure in document.failures:
        name = failure.completion_id
        moments.append((f"first_attempt_at of {name}", failure.first_attempt_at or None))
        moments.append((f"last_attempt_at of {name}", failure.last_attempt_at or None))
    for name, text in moments:
        if text is not None and not _is_time(text):
            yield f"{name} is not a time: {text!r}"


def _false_seconds(document: Manifest | Checkpoint) -> Iterator[str]:
    for source, cursor in document.cursors.items():
        if not _FIRST.timestamp() < cursor.created < _LAST.timestamp():
            yield f"created of the cursor of {source} is not a time: {cursor.created}"
    for failure in document.failures:
        # A failure has what the source sent, however odd, so only the column's range counts here.
        if failure.created is not None and abs(failure.created) > _MOST_SECONDS:
            yield f"created of {failure.completion_id} is not a time: {failure.created}"


def _is_time(text: str) -> bool:
    try:
        # Room for a time zone and a retention on either side.
        return _FIRST < parse_time(text) < _LAST
    except (ValueError, TypeError):  # no time zone
        return False


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
