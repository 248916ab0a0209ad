"""`chatlake status --json`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from chatlake.cli.status_facts import SourceFacts, StatusFacts
from chatlake.errors import ChatlakeError
from chatlake.model.manifest import format_time, parse_time
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, IMAGES, MESSAGES

_RUNS = 5
_DAY_S = 86_400


def status_document(
    location: str, facts: StatusFacts, error: ChatlakeError | None = None
) -> dict[str, Any]:
    """Return the facts as JSON values; `error`: the error behind the exit code, if any."""
    holder = facts.holder
    document: dict[str, Any] = {
        "lake": location,
        "commit": facts.commit,
        "fingerprint": facts.fingerprint,
        "head_sha256": facts.head_sha256,
        "complete": all(not source.gaps for source in facts.sources),
        "unlisted": {"files": facts.unlisted_files, "bytes": facts.unlisted_bytes},
        "replaced": {"files": facts.replaced_files, "bytes": facts.replaced_bytes},
        "forgotten": facts.forgotten,
        "locked_by": None if holder is None else msgspec.to_builtins(holder),
        "sources": [_source(source, facts.now) for source in facts.sources],
        "runs": [msgspec.to_builtins(run) for run in facts.runs[:_RUNS]],
        "failures": [
            msgspec.to_builtins(failure) for source in facts.sources for failure in source.gaps
        ],
    }
    if error is not None:
        document["error"] = {"kind": error.kind, "message": error.message, "hint": error.hint}
    return document


def _source(source: SourceFacts, now: datetime) -> dict[str, Any]:
    run, sweep, expires_in = source.last_complete_run, source.last_sweep, source.expires_in
    swept_at = None if sweep is None else parse_time(sweep.finished_at or sweep.started_at)
    return {
        "name": source.name,
        "configured": source.configured,
        "completions": source.rows[COMPLETIONS],
        "messages": source.rows[MESSAGES],
        "content_parts": source.rows[CONTENT_PARTS],
        "images": source.rows[IMAGES],
        "files": source.files,
        "bytes": source.bytes,
        "oldest_created_at": _time(source.dates.oldest),
        "newest_created_at": _time(source.dates.newest),
        "newest_age_seconds": _age(source.dates.newest, now),
        "future_completions": source.dates.future,
        "timeless_completions": source.dates.timeless,
        "last_complete_run_at": None if run is None else run.finished_at,
        "last_full_sweep_at": _time(swept_at),
        "last_full_sweep_age_seconds": _age(swept_at, now),
        "covered_until": _time(source.covered_until),
        "expires_in_days": None
        if expires_in is None
        else round(expires_in.total_seconds() / _DAY_S, 2),
        "gaps": len(source.gaps),
        "new_fields": [
            {
                "field": each.field,
                "completions": each.completions,
                "completion_id": each.completion_id or None,
                "first_seen_at": each.first_seen_at,
                "run_id": each.run_id,
            }
            for each in source.new_fields
        ],
        "warnings": source.warnings,
    }


def _age(moment: datetime | None, now: datetime) -> int | None:
    """Return whole seconds, never less than 0: a clock may have been ahead."""
    return None if moment is None else max(0, round((now - moment).total_seconds()))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
