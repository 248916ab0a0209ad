"""When a source has had nothing new for too long, and when that is reported."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from chatlake.backup.silence import Silence, silence_in, silence_of
from chatlake.config import Settings
from chatlake.config.source import SilentAfter
from chatlake.model.manifest import LakeState, Manifest, PartFile, format_time

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 31, 2, tzinfo=UTC)


def part(ago: timedelta, table: str = "completions", source: str = "openai") -> PartFile:
    """Return a file whose newest row was created so long before `NOW`, an hour after its first."""
    newest = NOW - ago
    return PartFile(
        table=table, path=f"{table}/{source}/{newest:%s}", rows=1, bytes=1, sha256="", source=source,
        created_date=f"{newest:%Y-%m-%d}", min_created_at=format_time(newest - HOUR),
        max_created_at=format_time(newest),
    )  # fmt: skip


def silent(days_ago: Iterable[float], after: SilentAfter = "auto") -> Silence | None:
    """Ask about a source with completions so many days ago."""
    return silence_of("openai", [part(day * DAY) for day in days_ago], after, NOW)


def test_a_daily_source_is_silent_after_three_days() -> None:
    """With a rhythm of one day, three days are the limit."""
    assert silent(range(3, 40)) is None
    found = silent(range(4, 40))
    assert found is not None
    assert str(found) == (
        "nothing new for 4 days, since 2026-03-27 02:00 UTC; before, the longest pause was 24 hours"
    )


def test_a_source_of_working_days_may_pause_over_a_long_weekend() -> None:
    """Twice the pause that it makes every week."""
    working = [day for day in range(5, 60) if (NOW - day * DAY).weekday() < 5]
    assert silent(working) is None
    assert silent([day + 2 for day in working]) is not None


def test_a_source_without_a_rhythm_is_never_silent_by_itself() -> None:
    """Six days with completions are too few to know; a set limit still counts."""
    assert silent(range(50, 56)) is None
    assert silent(range(50, 56), 7 * DAY) is not None
    assert silent([], 7 * DAY) is None


def test_only_the_last_ninety_days_tell_the_rhythm() -> None:
    """A pause of long ago does not excuse one of today."""
    recent = range(10, 60)
    assert silent([*recent, 200, 300]) is not None
    assert silent([*recent, 90]) is None


@pytest.mark.parametrize(("after", "expected"), [(None, False), (5 * DAY, False), (3 * DAY, True)])
def test_a_set_limit_decides_alone(after: SilentAfter, *, expected: bool) -> None:
    """Null is never, and a duration is a duration."""
    assert (silent([4, *range(5, 30)], after) is not None) == expected


def test_other_tables_and_sources_and_the_future_do_not_break_a_silence() -> None:
    """Only completions that can be believed are news."""
    own = [part(day * DAY) for day in range(10, 40)]
    noise = [part(HOUR, "messages"), part(HOUR, source="azure"), part(-2 * DAY)]
    assert silence_of("openai", [*own, *noise], "auto", NOW) is not None


def test_a_source_that_can_have_nothing_new_is_not_silent() -> None:
    """Chosen ids, or a time that has ended: nothing new comes by design."""
    state = LakeState()
    state.apply(Manifest(number=1, added=[part(day * DAY) for day in range(10, 40)]))

    def found(**select: object) -> Silence | None:
        source = {"name": "openai", "base_url": "https://x/v1", "api_key": "${K}", "select": select}
        settings = Settings.model_validate({"version": 1, "lake": "l", "sources": [source]})
        return silence_in(state, settings.sources[0], NOW)

    assert found() is not None
    assert found(ids=["chatcmpl-1"]) is None
    assert found(created_before="2026-03-01") is None
    assert found(created_before="2027-03-01") is not None


def test_a_silence_is_told_when_it_begins_and_every_week() -> None:
    """Nightly backups report it on the first night past the limit, and every seventh after that."""
    newest = NOW - 60 * DAY
    told = []
    for night in range(1, 20):
        until = newest + night * DAY + HOUR
        silence = Silence("openai", newest, until, 3 * DAY)
        if silence.length > silence.limit and silence.is_news(until - DAY):
            told.append(night)
    assert told == [3, 10, 17]
    assert not Silence("openai", newest, NOW, 3 * DAY).is_news(None)
