"""Collect a report's facts: from the newest manifest, `verified.json` and the views."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb

from chatlake import __version__
from chatlake.exports.selection import ATTEMPTS, unreadable
from chatlake.lake.catalog.confinement import confine
from chatlake.lake.catalog.duckdb_files import has_moved
from chatlake.lake.lake import Lake
from chatlake.lake.manifests import read_head
from chatlake.model.manifest import Failure, LakeState, SourceRun, parse_time
from chatlake.verify.record import Record
from chatlake.web.report.facts import (
    Figure,
    Gap,
    Identity,
    Period,
    Reconciliation,
    Report,
    Run,
    Standing,
    Verification,
)
from chatlake.web.report.queries import Views

RECENT: Final = timedelta(days=31)
"""How old the check of a file may be to count."""
_REQUEST: Final = re.compile(r"\(request ([^)\s]{1,100})\)")
_SETTINGS: Final = ("SET memory_limit = '1GB'",)

AskStatus = Callable[[], tuple[Sequence[Standing], Sequence[SourceRun]]]
"""Returns what `chatlake status` says of the lake's state: sources, and runs with the newest first.
"""


def gather(
    lake: Lake, ask_status: AskStatus, now: datetime, period: Period | None = None
) -> Report:
    """Return the facts of a lake, at its newest commit.

    LakeDamagedError if it cannot be read, ChatlakeError if memory is short.
    """
    lake.answer_despite_losses()
    for left in reversed(range(ATTEMPTS)):
        try:
            return _gather(lake, ask_status, now, period)
        except duckdb.Error as error:
            # A run that ends moves replaced files away: the next attempt opens its catalogue.
            if not left or not has_moved(error, lake.location):
                raise unreadable(error) from error
            if left == 1:  # missing a second time: lost, and not just moved by a run
                lake.look_for_losses()
    raise AssertionError("the last attempt returns or raises")


def _gather(lake: Lake, ask_status: AskStatus, now: datetime, period: Period | None) -> Report:
    with (
        tempfile.TemporaryDirectory(prefix="chatlake-") as folder,
        closing(lake.connect()) as connection,
    ):
        for setting in _SETTINGS:
            connection.execute(setting)
        confine(connection, lake.location, temporary=folder)
        views = Views(connection, period)
        standings, runs = ask_status()
        counts, failures = views.counts(), _failures(lake.state)
        counts["forgotten"] = lake.state.forgotten.erased_count
        stored = views.stored([failure.key for failure in failures])
        seen = [_run(run) for run in runs]
        return Report(
            identity=_identity(lake, views.commit(), now, period),
            standings=tuple(standings),
            reconciliation=_reconciliation(counts, standings, seen, failures, len(stored)),
            gaps=tuple(_gap(failure, is_stored=failure.key in stored) for failure in failures),
            runs=tuple(seen),
            verification=_verification(lake, now),
            changes=views.changes(),
            usage=views.usage(),
            quality=views.quality(),
            growth=views.growth(),
            daily_completions=views.daily_completions(),
        )


def _identity(lake: Lake, views_commit: int, now: datetime, period: Period | None) -> Identity:
    head, holder = read_head(lake.storage, lake.state.number), lake.storage.lock_holder()
    return Identity(
        location=lake.location,
        commit=lake.state.number,
        committed_at=None if head is None else head.created_at,
        fingerprint="" if head is None else head.fingerprint,
        views_commit=views_commit,
        generated_at=now.astimezone(UTC),
        version=__version__,
        writer=None if holder is None else str(holder),
        period=period,
    )


def _reconciliation(
    counts: dict[str, int],
    standings: Sequence[Standing],
    runs: Sequence[Run],
    failures: Sequence[Failure],
    stored_in_part: int,
) -> Reconciliation:
    def of_status(name: str) -> tuple[str, int]:
        return "chatlake status", sum(getattr(standing, name) for standing in standings)

    again = (
        "excludes completions that are stored only in part, and counts a completion again when it "
        "was fetched again"
    )
    linked = counts["image_parts"] - counts["embedded"]
    return Reconciliation(
        stored=counts["completions"],
        gaps=len(failures),
        in_part=stored_in_part,
        deleted=counts["deleted"],
        forgotten=counts["forgotten"],
        figures=(
            Figure(
                "completions",
                "Stored completions: requests with their replies, each counted once, in whatever "
                "version. Those deleted at the source stay counted.",
                counts["completions"],
                (of_status("completions"), ("daily_usage", counts["daily_completions"])),
                (("chatlake backup, all runs: new", sum(run.new for run in runs), again),),
            ),
            Figure(
                "messages",
                "Input messages and the replies of every choice.",
                counts["messages"],
                (of_status("messages"), ("daily_usage", counts["daily_messages"])),
            ),
            Figure(
                "content parts",
                "Parts of messages: a plain text is one part, a mixed message has one for each "
                "text, image, sound or file.",
                counts["content_parts"],
                (of_status("content_parts"),),
            ),
            Figure(
                "image parts",
                f"Content parts that show an image: {counts['embedded']:,} embedded, {linked:,} "
                "linked. The same image shown twice counts twice.",
                counts["image_parts"],
                (("daily_usage", counts["daily_images"]),),
            ),
            Figure(
                "images",
                "Embedded images that are kept, once for each source and day.",
                counts["images"],
                (of_status("images"),),
            ),
            Figure(
                "distinct images",
                "Embedded images by their SHA-256, once over all days.",
                counts["distinct_images"],
            ),
        ),
    )


def _failures(state: LakeState) -> list[Failure]:
    return sorted(state.failures.values(), key=lambda failure: failure.key)


def _gap(failure: Failure, *, is_stored: bool) -> Gap:
    created = failure.created
    return Gap(
        source=failure.source,
        completion_id=failure.completion_id,
        created_at=None if created is None else _from_seconds(created),
        reason=failure.reason,
        detail=failure.detail,
        request_id=failure.request_id or _request_in(failure.detail),
        first_attempt_at=_time(failure.first_attempt_at),
        last_attempt_at=_time(failure.last_attempt_at),
        attempts=failure.attempts,
        is_stored=is_stored,
    )


def _request_in(detail: str) -> str:
    """Return the request id in a refusal's text: older versions kept some of them only there."""
    found = _REQUEST.search(detail)
    return found[1] if found else ""


def _run(run: SourceRun) -> Run:
    return Run(
        run_id=run.run_id,
        source=run.source,
        status=run.status,
        mode=run.mode,
        started_at=parse_time(run.started_at).astimezone(UTC),
        finished_at=_time(run.finished_at),
        seconds=run.seconds,
        listed=run.listed,
        new=run.new,
        changed=run.changed,
        unchanged=run.unchanged,
        deleted=run.deleted,
        failed=run.failed,
        bytes_added=run.bytes_added,
        error=run.error,
    )


def _time(text: str | None) -> datetime | None:
    return parse_time(text).astimezone(UTC) if text else None


def _from_seconds(created: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(created, UTC)
    except (OverflowError, ValueError, OSError):  # what a source sends is kept unchanged
        return None


def _verification(lake: Lake, now: datetime) -> Verification:
    record, files = Record.load(lake.storage), list(lake.state.files.values())
    checked = {} if record is None else record.checked
    damaged = set() if record is None else set(record.damaged)
    times = {file.path: checked.get(file.path) for file in files}
    recent = [file for file in files if (at := times[file.path]) is not None and now - at <= RECENT]
    return Verification(
        last_at=max((at for at in checked.values() if at is not None), default=None),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        recent=len(recent),
        recent_bytes=sum(file.bytes for file in recent),
        never=sum(at is None for at in times.values()),
        damaged=tuple(sorted(damaged & times.keys())),
    )
