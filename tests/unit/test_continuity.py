"""Which runs knew what the runs before them had stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatlake.backup.continuity import Continuity
from chatlake.model.manifest import SourceRun, format_time

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
SECOND = 1_000_000


def _run(night: int, *, mode: str = "incremental", status: str = "complete", **found: int) -> Any:
    at = START + timedelta(days=night)
    ended = format_time(at + timedelta(minutes=5)) if status in {"complete", "incomplete"} else None
    return SourceRun(
        run_id=f"run-{night}", source="openai", status=status, mode=mode,
        started_at=format_time(at), finished_at=ended, listed=sum(found.values()), **found,
    )  # fmt: skip


def _during(night: int, minutes: int = 1) -> int:
    at = START + timedelta(days=night, minutes=minutes)
    return int(at.timestamp()) * SECOND


def _stretches(*runs: SourceRun) -> list[int]:
    continuity = Continuity(runs)
    return [continuity.stretch(_during(night)) for night in range(4)]


@pytest.mark.parametrize(
    ("third", "expected"),
    [
        ({"new": 5, "unchanged": 1}, [0, 0, 0, 0]),
        ({"new": 5, "changed": 1}, [0, 0, 0, 0]),
        ({"new": 5}, [0, 0, 1, 1]),
        ({"failed": 5}, [0, 0, 1, 1]),
        ({"new": 5, "status": "interrupted"}, [0, 0, 1, 1]),
        ({"new": 5, "status": "failed"}, [0, 0, 1, 1]),
        ({"new": 5, "status": "running"}, [0, 0, 1, 1]),
        ({"new": 5, "mode": "full"}, [0, 0, 1, 1]),
        ({"new": 5, "mode": "ids"}, [0, 0, 0, 0]),
        ({}, [0, 0, 0, 0]),
    ],
)
def test_a_run_that_meets_nothing_known_begins_a_stretch(
    third: dict[str, Any], expected: list[int]
) -> None:
    """However it ended; one that listed nothing, or was given ids, says nothing."""
    runs = [_run(0, new=9), _run(1, new=2, unchanged=3), _run(2, **third), _run(3, unchanged=1)]
    assert _stretches(*runs) == expected


def test_the_first_run_that_finds_something_begins_none() -> None:
    """Nothing came before it: the source was empty, or could not be reached."""
    assert _stretches(_run(0), _run(1, status="failed"), _run(2, new=5)) == [0, 0, 0, 0]


def test_a_clock_that_was_put_back_keeps_the_others_apart() -> None:
    """A completion belongs to the run that began last before it, in whatever order they committed."""
    continuity = Continuity([_run(9, new=9), _run(2, new=5), _run(1, new=5)])
    assert [continuity.stretch(_during(night)) for night in (9, 2, 1)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("created_night", "seen_night", "status", "expected"),
    [
        (0, 3, "complete", True),
        (0, 3, "incomplete", True),
        (0, 3, "failed", False),
        (0, 1, "complete", False),
        (2, 3, "complete", False),
    ],
)
def test_an_account_shows_what_it_has(
    created_night: int, seen_night: int, status: str, expected: object
) -> None:
    """A completion counts as overlooked if a full list after its creation did not show it."""
    continuity = Continuity([_run(1, status=status, new=1)])
    created, seen = _during(created_night), _during(seen_night)
    assert continuity.was_overlooked(created, seen) is expected
