"""The facts of `chatlake status`: from the newest manifest, and about unlisted files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from chatlake.backup.silence import Silence, silence_in
from chatlake.cli.status_dates import SKEW, Dates, ReadTimes, future_run
from chatlake.config import Settings, Source
from chatlake.lake.files.replaced import listed_path
from chatlake.model.manifest import Cursor, Failure, LakeState, SourceRun, parse_time
from chatlake.model.new_fields import NewField
from chatlake.model.tables import COMPLETIONS
from chatlake.model.unknown_fields import is_known
from chatlake.storage.interface import LockHolder, StoredFile
from chatlake.verify.record import Record

_LISTING = ("incremental", "full")
_REACHED_THE_END = ("complete", "incomplete")


@dataclass(slots=True)
class SourceFacts:
    """One source of the configuration or of the lake.

    `rows`: by table. `covered_until`: everything created at the source before this instant is
    stored or a named gap; None if that was never true. `expires_in`: how long the source keeps
    the oldest completion that may not be stored yet, negative when it may be gone. `last_sweep`:
    the last full sweep that read the list to its end; `sweep_every` as configured, None: never.
    `complete_runs`: newest first, those that backed up all that the configuration selects, so none
    of chosen ids. `silence`: nothing new came for too long. `implausible`: a line for each kind of
    implausible time.
    """

    name: str
    configured: bool
    dates: Dates
    rows: Counter[str] = field(default_factory=Counter)
    files: int = 0
    bytes: int = 0
    complete_runs: list[SourceRun] = field(default_factory=list)
    last_sweep: SourceRun | None = None
    sweep_every: timedelta | None = None
    covered_until: datetime | None = None
    retention: timedelta | None = None
    expires_in: timedelta | None = None
    gaps: list[Failure] = field(default_factory=list)
    new_fields: list[NewField] = field(default_factory=list)
    silence: Silence | None = None
    implausible: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What to look at: implausible times, and a silence."""
        silence = [] if self.silence is None else [str(self.silence)]
        return [*self.implausible, *silence]

    @property
    def last_complete_run(self) -> SourceRun | None:
        """The newest complete backup of all that the configuration selects."""
        return next(iter(self.complete_runs), None)


@dataclass(frozen=True, slots=True)
class LastVerified:
    """When the listed files were verified: the last of them, and the one longest ago.

    `unchecked`: listed files never found whole; `damaged`: those found damaged.
    """

    newest: datetime | None
    oldest: datetime | None
    unchecked: int
    damaged: int


@dataclass(slots=True)
class StatusFacts:
    """The whole lake; `runs` newest first, `holder` writes to it now, `now` is UTC.

    `unlisted_files`, `unlisted_bytes`: files in the lake that no manifest lists; None if not
    counted. `replaced_files`, `replaced_bytes`: those of them in `replaced/`. `fingerprint`,
    `head_sha256`: of the newest commit, None for a lake without one. `forgotten`: completions that
    were erased, by `forget` or `keep`. `verification`: what `chatlake verify` recorded, None if it
    never ran.
    """

    commit: int
    sources: list[SourceFacts]
    runs: list[SourceRun]
    holder: LockHolder | None
    now: datetime
    unlisted_files: int | None = None
    unlisted_bytes: int | None = None
    replaced_files: int | None = None
    replaced_bytes: int | None = None
    fingerprint: str | None = None
    head_sha256: str | None = None
    forgotten: int = 0
    verification: LastVerified | None = None

    def note_verification(self, record: Record | None, listed: Iterable[str]) -> None:
        """Take note of what `chatlake verify` has recorded of the files that are listed now."""
        if record is None:
            return
        times = [record.checked.get(path) for path in listed]
        known = [at for at in times if at is not None]
        self.verification = LastVerified(
            newest=max(known, default=None),
            oldest=min(known, default=None),
            unchecked=len(times) - len(known),
            damaged=len(record.damaged),
        )

    def count_unlisted(self, files: Iterable[StoredFile]) -> None:
        """Take note of the files that no manifest lists."""
        unlisted = list(files)
        self.unlisted_files, self.unlisted_bytes = _figures(unlisted)
        moved = [file for file in unlisted if file.path != listed_path(file.path)]
        self.replaced_files, self.replaced_bytes = _figures(moved)


def _figures(files: list[StoredFile]) -> tuple[int, int]:
    return len(files), sum(file.size for file in files)


def gather(
    state: LakeState,
    settings: Settings,
    holder: LockHolder | None,
    now: datetime,
    read: ReadTimes | None = None,
) -> StatusFacts:
    """Collect the facts; `read` opens the files that reach into the future."""
    configured = {source.name: source for source in settings.sources}
    names = [*configured]
    known = {file.source for file in state.files.values()}
    known |= {failure.source for failure in state.failures.values()}
    names += sorted(known - configured.keys())
    # In the order of their commits, which does not depend on the clock.
    runs = [_as_seen_now(run, holder) for run in reversed(state.runs.values())]
    sources = [_source(name, configured.get(name), state, runs, Dates(now, read)) for name in names]
    facts = StatusFacts(state.number, sources, runs, holder, now)
    facts.forgotten = state.forgotten.erased_count
    return facts


def _as_seen_now(run: SourceRun, holder: LockHolder | None) -> SourceRun:
    """Return the run; one that is marked as running, while the lock is free, was killed."""
    if run.status != "running" or (holder is not None and holder.run_id in ("", run.run_id)):
        return run
    return msgspec.structs.replace(run, status="killed")


def _source(
    name: str,
    source: Source | None,
    state: LakeState,
    runs: list[SourceRun],
    dates: Dates,
) -> SourceFacts:
    now = dates.now
    facts = SourceFacts(name, configured=source is not None, dates=dates)
    for file in state.files.values():
        if file.source == name:
            facts.files += 1
            facts.bytes += file.bytes
            facts.rows[file.table] += file.rows
            if file.table == COMPLETIONS:
                dates.take(file)
    dates.bound()
    own = [run for run in runs if run.source == name]
    facts.complete_runs = [
        run for run in own if run.status == "complete" and _is_whole(run, source)
    ]
    facts.last_sweep = next(
        (run for run in own if run.mode == "full" and run.status in _REACHED_THE_END), None
    )
    facts.gaps = [failure for failure in state.failures.values() if failure.source == name]
    # A field that an earlier chatlake did not know, and this one does, is no longer new.
    facts.new_fields = [
        each
        for each in state.new_fields.values()
        if each.source == name and not is_known(each.field)
    ]
    facts.covered_until = _covered_until(state.cursors.get(name), own, dates)
    facts.implausible = [*dates.warnings(), *future_run(own, now)]
    if source is not None and facts.covered_until is not None:
        facts.retention = source.retention
        moments = [facts.covered_until, *filter(None, map(_created, facts.gaps))]
        facts.expires_in = min(moments) + source.retention - now
    if source is not None:
        facts.sweep_every = source.full_sweep_every
        if facts.covered_until is not None:
            facts.silence = silence_in(state, source, facts.covered_until)
    return facts


def _is_whole(run: SourceRun, source: Source | None) -> bool:
    """Whether a run asked for all that the configuration selects, and not for ids of its own."""
    if run.mode in _LISTING:
        return True
    return source is not None and source.select.has_ids


def _created(gap: Failure) -> datetime | None:
    """Return when a gap's completion was created; if unknown, when it was first tried."""
    if gap.created:
        return _moment(gap.created)
    return parse_time(gap.first_attempt_at) if gap.first_attempt_at else None


def _covered_until(cursor: Cursor | None, runs: list[SourceRun], dates: Dates) -> datetime | None:
    """Return until when the source is backed up, except for named gaps.

    A run that read the list to its end has seen whatever was created before it began; one that
    ended early has seen what lies before its cursor. A cursor in the future has passed what is
    stored, and says nothing of what came since.
    """
    whole = [r for r in runs if r.mode in _LISTING and r.status in _REACHED_THE_END]
    moments = [parse_time(run.started_at) for run in whole[:1]]
    if cursor is not None:
        created = _moment(cursor.created)
        passed = created if created <= dates.now + SKEW else dates.newest
        moments += [] if passed is None else [passed]
    return min(max(moments), dates.now) if moments else None  # a clock may have been ahead


def _moment(created: int) -> datetime:
    return datetime.fromtimestamp(created, UTC)
