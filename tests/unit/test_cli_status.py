"""What `chatlake status` concludes from a lake's state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatlake.cli.status_facts import SourceFacts, StatusFacts, gather
from chatlake.config import Settings
from chatlake.lake.storage import LockHolder
from chatlake.model.manifest import Cursor, Failure, LakeState, Manifest, SourceRun, format_time

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = Settings.model_validate(
    {
        "version": 1,
        "lake": "lake",
        "sources": [{"name": "openai", "base_url": "http://x/v1", "api_key": "${KEY}"}],
    }
)


def _run(status: str, at: datetime, mode: str = "incremental", **more: Any) -> SourceRun:
    return SourceRun(
        run_id=more.pop("run_id", f"run-{at}"), source="openai", status=status, mode=mode,
        started_at=format_time(at), finished_at=format_time(at), **more,
    )  # fmt: skip


def _facts(holder: LockHolder | None = None, **manifest: Any) -> StatusFacts:
    state = LakeState()
    state.apply(Manifest(number=1, **manifest))
    return gather(state, SETTINGS, holder, NOW)


def _openai(**manifest: Any) -> SourceFacts:
    (source,) = _facts(**manifest).sources
    return source


def test_a_source_that_never_ran_expires_at_no_known_time() -> None:
    """Nothing is backed up, so nothing can be said about what is missing."""
    source = _openai()
    assert (source.covered_until, source.expires_in) == (None, None)


def test_what_was_created_after_the_last_whole_run_expires_first() -> None:
    """A run that read the list to its end covers all that was created before its start."""
    runs = [_run("complete", NOW - 3 * DAY), _run("failed", NOW - DAY)]
    cursor = {"openai": Cursor("c", int((NOW - 20 * DAY).timestamp()))}
    source = _openai(runs=runs, cursors=cursor)
    assert source.covered_until == NOW - 3 * DAY
    assert source.expires_in == 27 * DAY


def test_an_interrupted_run_covers_what_lies_before_its_cursor() -> None:
    """The cursor counts where no run came to its end."""
    cursor = {"openai": Cursor("c", int((NOW - 35 * DAY).timestamp()))}
    source = _openai(runs=[_run("interrupted", NOW)], cursors=cursor)
    assert source.expires_in == -5 * DAY


def test_a_run_of_chosen_ids_covers_nothing_else() -> None:
    """Asking for some ids says nothing about the others."""
    assert _openai(runs=[_run("complete", NOW, mode="ids")]).covered_until is None


def test_an_open_gap_expires_before_what_is_newer() -> None:
    """The oldest completion that is missing decides."""
    gap = Failure(
        source="openai", completion_id="c", reason="not_found", detail="",
        created=int((NOW - 29 * DAY).timestamp()),
    )  # fmt: skip
    source = _openai(runs=[_run("incomplete", NOW)], failures=[gap])
    assert source.expires_in == DAY
    assert source.gaps == [gap]


@pytest.mark.parametrize(
    ("holder", "status"),
    [(None, "killed"), ("r1", "running"), ("r2", "killed"), ("", "running")],
)
def test_a_running_run_without_its_lock_was_killed(holder: str | None, status: str) -> None:
    """Only the run that holds the lock still runs."""
    lock = None if holder is None else LockHolder("host", 1, "", holder)
    facts = _facts(lock, runs=[_run("running", NOW, run_id="r1")])
    assert [run.status for run in facts.runs] == [status]
