"""Which days are written at once, and which wait for the rest of them."""

from __future__ import annotations

import pytest

from chatlake.backup import days as days_module
from chatlake.backup.days import Days
from chatlake.backup.items import Flush, Outcome
from chatlake.model.flatten import FlatCompletion
from chatlake.model.partitions import Partition

MONDAY, TUESDAY, WEDNESDAY = (Partition("openai", f"2026-03-0{day}") for day in (2, 3, 4))


class Clock:
    """Stands still until it is told to move; seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that `Days` reads."""
    clock = Clock()
    monkeypatch.setattr(days_module.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def days(clock: Clock) -> Days:
    """Return days with room for 10,000 bytes, whose rows may be ten seconds old."""
    return Days(max_bytes=10_000, max_age_s=10.0, keep_images=True)


def fetched(days: Days, partition: Partition, text_bytes: int = 100, name: str = "c") -> None:
    """List a completion of a day and fetch it."""
    days.begin(partition)
    stored(days, partition, text_bytes, name)
    days.end(partition)


def stored(days: Days, partition: Partition, text_bytes: int = 100, name: str = "c") -> None:
    """Put in the rows and the outcome of a completion that was fetched."""
    days.add(partition, FlatCompletion(completion=(name,), text_bytes=text_bytes))
    days.of(partition).flush.outcomes.append(Outcome(name, "new", partition))


def taken(days: Days, *, everything: bool = False) -> list[Partition | None]:
    """Take what is due; return the days of the outcomes, in order."""
    found = days.take(everything=everything)
    return [] if found is None else [outcome.partition for outcome in found[1].outcomes]


def test_a_day_waits_while_the_list_still_shows_it(days: Days) -> None:
    """Monday is over when the list shows Tuesday, and Tuesday waits."""
    fetched(days, MONDAY)
    assert taken(days) == []
    fetched(days, TUESDAY)
    assert taken(days) == [MONDAY]
    assert taken(days) == []


def test_a_day_waits_for_what_is_being_fetched_of_it(days: Days) -> None:
    """A slow completion of Monday keeps Monday, though the list is far on."""
    days.begin(MONDAY)
    fetched(days, MONDAY)
    fetched(days, TUESDAY)
    fetched(days, WEDNESDAY)
    assert taken(days) == [TUESDAY]
    days.end(MONDAY)
    assert taken(days) == [MONDAY]


def test_no_row_waits_longer_than_its_time(days: Days, clock: Clock) -> None:
    """After ten seconds a day is taken, open or not; a younger open one waits on."""
    days.begin(MONDAY)
    stored(days, MONDAY)
    clock.now += 4
    fetched(days, TUESDAY)
    assert days.next_deadline_s == pytest.approx(6)
    clock.now += 6
    assert days.next_deadline_s == 0
    assert taken(days) == [MONDAY]
    assert days.next_deadline_s == pytest.approx(4)


def test_without_rows_the_deadline_is_a_whole_period_away(days: Days) -> None:
    """A timer that sleeps so long cannot miss rows that come meanwhile."""
    assert days.next_deadline_s == 10


def test_an_open_day_that_fills_the_memory_is_written(days: Days) -> None:
    """If what would wait takes more than half of the room, nothing waits."""
    fetched(days, MONDAY, 100)
    fetched(days, TUESDAY, 9_000)
    assert days.is_full
    assert sorted(map(str, taken(days))) == sorted(map(str, [MONDAY, TUESDAY]))
    assert days.bytes == 0


def test_a_small_open_day_makes_room_by_the_others(days: Days) -> None:
    """What is over is written, and afterwards at most half of the room is taken."""
    fetched(days, MONDAY, 9_000)
    fetched(days, TUESDAY, 900)
    assert days.is_full
    assert taken(days) == [MONDAY]
    assert 0 < days.bytes <= 5_000


def test_at_the_end_everything_is_taken(days: Days) -> None:
    """Nothing waits for a day when no more comes."""
    fetched(days, MONDAY)
    assert taken(days, everything=True) == [MONDAY]
    assert taken(days, everything=True) == []


def test_what_has_no_day_never_waits_and_comes_first(days: Days) -> None:
    """A failed gap that the list then shows after all is counted in this order."""
    fetched(days, MONDAY)
    fetched(days, TUESDAY)
    days.of(None).flush.outcomes.append(Outcome("gap", "failed"))
    assert taken(days) == [None, MONDAY]


def test_a_list_of_another_order_loses_nothing(days: Days) -> None:
    """A day that comes again is taken again."""
    for partition in (TUESDAY, MONDAY, TUESDAY, MONDAY):
        fetched(days, partition)
    assert taken(days) == [TUESDAY, TUESDAY]
    assert taken(days, everything=True) == [MONDAY, MONDAY]


def test_unknown_fields_are_counted_over_days() -> None:
    """Each completion counts once a field, and the first one stays its example."""
    monday, tuesday = Flush(), Flush()
    monday.count_fields(["message.novel"], "c1")
    tuesday.count_fields(["message.novel", "message.novel"], "c2")
    monday.take_over(tuesday)
    assert monday.fields == {"message.novel": (2, "c1")}
