"""The figures of a run, by the names that reports, notifications and pages show."""

from __future__ import annotations

from typing import Any

from chatlake.model.manifest import SourceRun

FIGURES = (
    "listed", "new", "changed", "unchanged", "deleted", "failed", "messages", "content_parts",
    "images", "requests", "retries", "rate_limited",
)  # fmt: skip


def source_figures(run: SourceRun) -> dict[str, Any]:
    """Return the figures of one source as JSON values."""
    return {"name": run.source, **{figure: getattr(run, figure) for figure in FIGURES}}
