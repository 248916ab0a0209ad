"""`chatlake status --json`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from chatlake.cli.status_facts import SourceFacts, StatusFacts
from chatlake.model.manifest import format_time
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, IMAGES, MESSAGES

_RUNS = 5
_DAY_S = 86_400


def status_document(location: str, facts: StatusFacts) -> dict[str, Any]:
    """Return the facts as JSON values."""
    holder = facts.holder
    return {
        "lake": location,
        "commit": facts.commit,
        "complete": all(not source.gaps for source in facts.sources),
        "unlisted": {"files": facts.unlisted_files, "bytes": facts.unlisted_bytes},
        "locked_by": None if holder is None else msgspec.to_builtins(holder),
        "sources": [_source(source, facts.now) for source in facts.sources],
        "runs": [msgspec.to_builtins(run) for run in facts.runs[:_RUNS]],
        "failures": [
            msgspec.to_builtins(failure) for source in facts.sources for failure in source.gaps
        ],
    }


def _source(source: SourceFacts, now: datetime) -> dict[str, Any]:
    run, expires_in = source.last_complete_run, source.expires_in
    age = None if source.newest is None else round((now - source.newest).total_seconds())
    return {
        "name": source.name,
        "configured": source.configured,
        "completions": source.rows[COMPLETIONS],
        "messages": source.rows[MESSAGES],
        "content_parts": source.rows[CONTENT_PARTS],
        "images": source.rows[IMAGES],
        "files": source.files,
        "bytes": source.bytes,
        "oldest_created_at": _time(source.oldest),
        "newest_created_at": _time(source.newest),
        "newest_age_seconds": age,
        "last_complete_run_at": None if run is None else run.finished_at,
        "covered_until": _time(source.covered_until),
        "expires_in_days": None
        if expires_in is None
        else round(expires_in.total_seconds() / _DAY_S, 2),
        "gaps": len(source.gaps),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
