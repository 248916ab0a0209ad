"""What a run says of itself: for each source its figures and failures, and one status for all."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chatlake.backup.silence import Silence
from chatlake.errors import ChatlakeError
from chatlake.model.manifest import Failure, SourceRun, format_time
from chatlake.model.new_fields import NewField

FIGURES = (
    "listed", "new", "changed", "unchanged", "deleted", "failed", "messages", "content_parts",
    "images", "requests", "retries", "rate_limited",
)  # fmt: skip
"""The figures of a run, by the names that reports, notifications and pages show."""


@dataclass(slots=True)
class SourceReport:
    """What a run did for one source. `error`: what ended it early, if anything did.

    `new_fields`: fields that chatlake does not know, and that no earlier run met.
    """

    run: SourceRun
    failures: list[Failure] = field(default_factory=list)
    error: ChatlakeError | None = None
    new_fields: list[NewField] = field(default_factory=list)


@dataclass(slots=True)
class BackupReport:
    """What a run did. `seconds`: wall time. `stopped_by`: the signal that ended it, if one did.

    `new_lake`: whether the lake had no commit before. `commit`, `fingerprint`: the lake's newest
    commit after the run, and the first digits of its manifest's SHA-256; 0 and empty if unknown.
    `silences`: the sources that have had nothing new for too long.
    """

    run_id: str
    started_at: str
    lake: str
    dry_run: bool = False
    seconds: float = 0.0
    sources: list[SourceReport] = field(default_factory=list)
    stopped_by: int | None = None
    new_lake: bool = False
    commit: int = 0
    fingerprint: str = ""
    silences: list[Silence] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The worst status of the sources, but `incomplete` if only some of them failed."""
        statuses = {source.run.status for source in self.sources}
        if "interrupted" in statuses or self.stopped_by is not None:
            return "interrupted"
        if "failed" in statuses:
            return "failed" if statuses == {"failed"} else "incomplete"
        return "incomplete" if "incomplete" in statuses else "complete"

    @property
    def exit_code(self) -> int:
        """0 complete, 3 with named failures, else the code of the first error or the signal."""
        if self.stopped_by is not None:
            return 128 + self.stopped_by
        for source in self.sources:
            if source.error is not None:
                return source.error.exit_code
        return 0 if self.status == "complete" else 3


def new_run_id() -> str:
    """Return an id for a run: sortable by its start, unique."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def new_report(lake: str, *, dry_run: bool = False) -> BackupReport:
    """Return the report of a run that begins now."""
    return BackupReport(new_run_id(), format_time(datetime.now(UTC)), lake, dry_run)


def source_figures(run: SourceRun) -> dict[str, Any]:
    """Return the figures of one source as JSON values; `redacted` where there are rules for it."""
    found = {"name": run.source, **{figure: getattr(run, figure) for figure in FIGURES}}
    return found | ({"redacted": run.redacted} if run.redaction else {})


def new_field_values(report: BackupReport) -> list[dict[str, Any]]:
    """Return the fields that the run met first as JSON values."""
    return [
        {
            "source": each.source,
            "field": each.field,
            "completions": each.completions,
            "completion_id": each.completion_id or None,
        }
        for source in report.sources
        for each in source.new_fields
    ]


def detail_without_id(failure: Failure) -> str:
    """Return what happened, without the route and the id, which stand beside it anyway."""
    detail = failure.detail
    if detail.startswith("/"):
        detail = detail.partition(": ")[2] or detail
    return detail.replace(failure.completion_id, "…")
