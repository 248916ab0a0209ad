"""What a report says, as values. Times are UTC; `bytes` are of files; None means not known.

`Report` is gathered (`gather.py`), judged (`verdict.py`), and shown as a page (`page.py`) or as
JSON (`as_json.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from chatlake.web.report.usage import Growth, Quality, UsageFacts


@dataclass(frozen=True, slots=True)
class Period:
    """The days that a report covers: from `first` to `end`, exclusive; `name` is a month."""

    name: str
    first: date
    end: date

    def holds(self, day: date) -> bool:
        """Say whether the day is in it."""
        return self.first <= day < self.end


@dataclass(frozen=True, slots=True)
class Identity:
    """Which lake, at which commit.

    `fingerprint`: the first 12 hex digits of the SHA-256 of the newest manifest's file; empty for a
    lake without commits. `views_commit`: the commit that the views show. It lags behind only while
    a backup writes. `writer`: who writes now.
    """

    location: str
    commit: int
    committed_at: datetime | None
    fingerprint: str
    views_commit: int
    generated_at: datetime
    version: str
    writer: str | None
    period: Period | None


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field that chatlake does not know; `completion_id` has it, empty if that was forgotten."""

    source: str
    field: str
    completions: int
    completion_id: str
    first_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """One source of the configuration or of the lake, as `chatlake status` shows it.

    `covered_until`: everything created before it is stored or a named gap. `expires_at`: when the
    source drops the oldest completion that may not be stored yet. `retention`: how long the source
    keeps one. `silence`: in words, that the source has had nothing new for too long; else empty.
    `warnings`: implausible times.
    """

    name: str
    configured: bool
    completions: int
    messages: int
    content_parts: int
    images: int
    files: int
    bytes: int
    newest_created_at: datetime | None
    last_complete_at: datetime | None
    last_sweep_at: datetime | None
    covered_until: datetime | None
    expires_at: datetime | None
    retention: timedelta | None
    warnings: tuple[str, ...]
    silence: str = ""
    new_fields: tuple[UnknownField, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """A completion that could not be fetched yet.

    `is_stored`: everything but its messages is stored.
    """

    source: str
    completion_id: str
    created_at: datetime | None
    reason: str
    detail: str
    request_id: str
    first_attempt_at: datetime | None
    last_attempt_at: datetime | None
    attempts: int
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, what it counts, and the same count from elsewhere (place, value).

    `also`: counts that answer another question, and may differ for the given reason.
    """

    name: str
    meaning: str
    value: int
    same: tuple[tuple[str, int], ...] = ()
    also: tuple[tuple[str, int, str], ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether all places that count the same thing agree."""
        return all(value == self.value for _, value in self.same)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """listed = stored whole + gaps; stored = stored whole + stored in part = present + deleted.

    `stored`: completions of which anything is stored. `gaps`: the open failures, one completion
    each. `in_part`: gaps whose completion is stored but not its messages. `forgotten`: completions
    that were erased, by `forget` or `keep`, in the whole life of the lake: they count nowhere else.
    """

    stored: int
    gaps: int
    in_part: int
    deleted: int
    figures: tuple[Figure, ...]
    forgotten: int = 0

    @property
    def whole(self) -> int:
        """The completions that are stored with their messages."""
        return self.stored - self.in_part

    @property
    def listed(self) -> int:
        """The completions that the sources have ever listed, without the forgotten ones."""
        return self.whole + self.gaps

    @property
    def present(self) -> int:
        """The stored completions that the sources still have, according to the last sweep."""
        return self.stored - self.deleted


@dataclass(frozen=True, slots=True)
class Run:
    """One backup of one source. `status`: as in the view `runs`, or killed."""

    run_id: str
    source: str
    status: str
    mode: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float
    listed: int
    new: int
    changed: int
    unchanged: int
    deleted: int
    failed: int
    bytes_added: int
    error: str | None

    @property
    def ended_at(self) -> datetime:
        """When it ended; if it has no end, when it began."""
        return self.finished_at or self.started_at


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verified.json` says. `recent`: listed files found intact within the last 31 days."""

    last_at: datetime | None
    files: int
    bytes: int
    recent: int
    recent_bytes: int
    never: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Touched:
    """A completion that was deleted or changed, and when a backup noticed."""

    source: str
    completion_id: str
    created_date: date | None
    model: str | None
    noticed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Changes:
    """Deleted at the source, and changed since first stored; the newest of each."""

    deleted: tuple[Touched, ...]
    changed_completions: int
    changed_versions: int
    changed: tuple[Touched, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page shows. `daily_completions`: by the day of their creation."""

    identity: Identity
    standings: tuple[Standing, ...]
    reconciliation: Reconciliation
    gaps: tuple[Gap, ...]
    runs: tuple[Run, ...]
    verification: Verification
    changes: Changes
    usage: UsageFacts
    quality: Quality
    growth: Growth
    daily_completions: tuple[tuple[date, int], ...]
