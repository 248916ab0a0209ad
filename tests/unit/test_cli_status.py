"""What `chatlake status` concludes from a lake's state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatlake.cli.status_facts import SourceFacts, StatusFacts, gather
from chatlake.cli.status_json import status_document
from chatlake.config import Settings
from chatlake.model.manifest import (
    Cursor,
    Failure,
    LakeState,
    Manifest,
    PartFile,
    SourceRun,
    format_time,
)
from chatlake.storage.interface import LockHolder

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = Settings.model_validate(
    {
        "version": 1,
        "lake": "lake",
        "sources": [{"name": "openai", "base_url": "https://x/v1", "api_key": "${KEY}"}],
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


def _part(created: datetime, rows: int = 1, until: datetime | None = None) -> PartFile:
    return PartFile(
        table="completions", path=f"completions/{created}", rows=rows, bytes=1, sha256="",
        source="openai", created_date=f"{created:%Y-%m-%d}", min_created_at=format_time(created),
        max_created_at=format_time(until or created),
    )  # fmt: skip


FUTURE = datetime(2107, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_one_row_in_the_future_makes_nothing_younger() -> None:
    """Ages count from the newest that can be believed; the other one is named."""
    source = _openai(added=[_part(NOW - 3 * DAY), _part(FUTURE)])
    assert source.dates.newest == NOW - 3 * DAY
    assert source.warnings == [
        "1 completion has a time in the future, e.g. 2107-01-01 00:00:00 UTC; ages ignore it"
    ]


def test_a_file_that_reaches_into_the_future_is_read() -> None:
    """One day may hold rows of the past and of the future: each row is taken for itself."""
    state, hour = LakeState(), timedelta(hours=1)
    mixed = _part(NOW, 3, until=NOW + 9 * hour)
    state.apply(Manifest(number=1, added=[mixed]))
    rows = [("past", NOW), ("ahead", NOW + 2 * hour), ("far", NOW + 9 * hour)]
    now = NOW + hour
    (source,) = gather(state, SETTINGS, None, now, lambda _file: rows).sources
    (unread,) = gather(state, SETTINGS, None, now).sources

    assert (source.dates.newest, source.dates.future) == (NOW, 2)
    assert source.warnings[0].startswith("2 completions have a time in the future, e.g. far, ")
    assert unread.dates.future == 1
    assert unread.dates.newest == NOW


def test_a_clock_that_differs_a_little_is_no_warning() -> None:
    """Of another machine's clock some minutes are nothing; the age is 0, not below."""
    source = _openai(added=[_part(NOW + timedelta(minutes=2))])
    assert (source.dates.newest, source.warnings) == (NOW, [])


def test_rows_without_a_time_are_neither_oldest_nor_newest() -> None:
    """They stand in the partition of 1970 and are counted by themselves."""
    timeless = _part(EPOCH, 5, until=EPOCH + DAY)
    source = _openai(added=[timeless, _part(NOW - DAY)])
    assert (source.dates.oldest, source.dates.newest) == (NOW - DAY, NOW - DAY)
    assert "5 completions have no usable time" in source.warnings[0]
    assert _openai(added=[timeless]).dates.oldest is None


def test_a_cursor_in_the_future_covers_what_is_stored_and_no_more() -> None:
    """A week after an interrupted run, a row of the year 2107 does not say that all is backed up."""
    cursor = {"openai": Cursor("c", int(FUTURE.timestamp()))}
    source = _openai(cursors=cursor, added=[_part(NOW - 7 * DAY), _part(FUTURE)])
    assert source.covered_until == NOW - 7 * DAY
    assert source.expires_in == 23 * DAY


@pytest.mark.parametrize("created", [0, None])
def test_a_gap_without_a_time_has_not_expired_for_that(created: int | None) -> None:
    """It was there when it was first tried, so it is no older than what is missing otherwise."""
    gap = Failure(
        source="openai", completion_id="c", reason="not_found", detail="", created=created,
        first_attempt_at=format_time(NOW - 2 * DAY),
    )  # fmt: skip
    assert _openai(runs=[_run("incomplete", NOW)], failures=[gap]).expires_in == 28 * DAY


@pytest.mark.parametrize(
    ("runs", "swept"),
    [
        ([], None),
        ([("complete", 9, "incremental")], None),
        ([("complete", 9, "full"), ("failed", 2, "full")], 9),
        ([("complete", 9, "full"), ("incomplete", 2, "full"), ("complete", 1, "incremental")], 2),
    ],
)
def test_the_last_full_sweep_is_one_that_came_to_its_end(
    runs: list[tuple[str, int, str]], swept: int | None
) -> None:
    """Failed ones and nights between do not count."""
    done = [_run(status, NOW - days * DAY, mode) for status, days, mode in runs]
    facts = _facts(runs=done)
    (source,) = status_document("lake", facts)["sources"]
    age = None if swept is None else swept * 86_400
    at = None if swept is None else format_time(NOW - swept * DAY)
    assert (source["last_full_sweep_age_seconds"], source["last_full_sweep_at"]) == (age, at)


def test_no_age_is_negative_after_a_clock_was_put_back() -> None:
    """A run dated in the future has the age 0, with a warning."""
    facts = _facts(runs=[_run("complete", FUTURE, "full")], added=[_part(FUTURE)])
    (source,) = status_document("lake", facts)["sources"]
    ages = {name: value for name, value in source.items() if "age_seconds" in name}
    assert ages == {"newest_age_seconds": 0, "last_full_sweep_age_seconds": 0}
    assert [warning.split(",")[0] for warning in source["warnings"]] == [
        "1 completion has a time in the future",
        "the last run began in the future",
    ]
    assert facts.sources[0].covered_until == NOW
