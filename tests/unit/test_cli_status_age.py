"""What `chatlake status --max-age` calls too old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chatlake.cli.status_age import MaxAge, stale_sources
from chatlake.cli.status_facts import gather
from chatlake.config import Settings
from chatlake.errors import StaleError, UsageError
from chatlake.model.manifest import LakeState, Manifest, SourceRun, format_time

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMIT = MaxAge.parse("26h")


def settings(*names: str, **select: object) -> Settings:
    """Return a configuration with sources of these names."""
    source = {"base_url": "https://x/v1", "api_key": "${KEY}", "select": select}
    return Settings.model_validate(
        {"version": 1, "lake": "lake", "sources": [{**source, "name": name} for name in names]}
    )


def run(source: str, age: timedelta, status: str = "complete", mode: str = "full") -> SourceRun:
    """Return a run that ended so long ago."""
    at = format_time(NOW - age)
    return SourceRun(
        run_id=f"run-{source}-{at}", source=source, status=status, mode=mode, started_at=at,
        finished_at=at,
    )  # fmt: skip


def judged(configured: Settings, *runs: SourceRun) -> StaleError | None:
    """Ask about a lake with these runs."""
    state = LakeState()
    state.apply(Manifest(number=1, runs=list(runs)))
    return stale_sources(gather(state, configured, None, NOW), LIMIT)


def test_a_young_complete_backup_of_each_source_is_fresh() -> None:
    """Nothing is named, up to the very age."""
    assert judged(settings("a", "b"), run("a", HOUR), run("b", 26 * HOUR)) is None


def test_each_stale_source_is_named_with_its_age() -> None:
    """One old, one that never ran; the fresh one is not named."""
    error = judged(settings("a", "b", "c"), run("a", 76 * HOUR), run("c", HOUR))
    assert error is not None
    assert (error.exit_code, error.kind) == (3, "stale")
    assert error.message == (
        "a: the last complete backup is 3 d 4 h old (2026-01-28 02:00:00 UTC), older than 26h; "
        "b: there is no complete backup yet"
    )


@pytest.mark.parametrize(
    "newer",
    [
        run("a", HOUR, status="incomplete"),
        run("a", HOUR, status="failed"),
        run("a", HOUR, status="interrupted"),
        run("a", HOUR, mode="ids"),
    ],
    ids=lambda newer: f"{newer.status}-{newer.mode}",
)
def test_a_newer_run_that_is_no_complete_backup_does_not_help(newer: SourceRun) -> None:
    """The last complete one counts, not the last one."""
    assert judged(settings("a"), run("a", 30 * HOUR), newer) is not None


def test_chosen_ids_count_where_the_configuration_chooses_ids() -> None:
    """Then a run of these ids is all that there is to back up."""
    assert judged(settings("a", ids=["chatcmpl-1"]), run("a", HOUR, mode="ids")) is None


def test_a_source_that_is_no_longer_configured_may_be_old() -> None:
    """Its backups ended on purpose."""
    assert judged(settings("a"), run("a", HOUR), run("gone", 900 * HOUR)) is None


def test_a_run_from_the_future_makes_nothing_fresh() -> None:
    """A clock that was a year ahead once must not hide a year without backups."""
    ahead = run("a", -8766 * HOUR)
    alone, after_old = (
        judged(settings("a"), ahead),
        judged(settings("a"), run("a", 30 * HOUR), ahead),
    )
    assert alone is not None
    assert "dated in the future, 2027-01-31" in alone.message
    assert after_old is not None
    assert "1 d 6 h old" in after_old.message
    assert judged(settings("a"), run("a", HOUR), ahead) is None


@pytest.mark.parametrize("text", ["26", "0s", "-1h", "a day", ""])
def test_what_is_no_duration_is_wrong_usage(text: str) -> None:
    """The message names the option and an example."""
    with pytest.raises(UsageError, match="--max-age") as caught:
        MaxAge.parse(text)
    assert "26h" in caught.value.hint
