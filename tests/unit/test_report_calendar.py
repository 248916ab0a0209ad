"""The report's calendar: which days lack a backup, and which only seem to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from chatlake.web.report.calendar import missed_days, months, period_of
from chatlake.web.report.charts import cumulated, ranked, short, stacked
from chatlake.web.report.facts import (
    Changes,
    Identity,
    Reconciliation,
    Report,
    Run,
    Standing,
    Verification,
)
from chatlake.web.report.usage import Growth, Quality, Usage, UsageFacts
from chatlake.web.report.words import dollars, length, listed, share

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


def run(at: str, status: str = "complete", source: str = "openai") -> Run:
    """Return a run that began and ended at a time of March 2026, `DDTHH:MM`."""
    began = datetime.fromisoformat(f"2026-03-{at}").replace(tzinfo=UTC)
    return Run(
        "run", source, status, "incremental", began, began, 1.0, 0, 0, 0, 0, 0, 0, 0, None
    )  # fmt: skip


def report(*runs: Run, left: str = "") -> Report:
    """Return a report of these runs; the source `left` is no longer configured."""
    names = sorted({each.source for each in runs})
    standings = [
        Standing(name, name != left, 0, 0, 0, 0, 0, 0, None, None, None, None, None, None, ())
        for name in names
    ]
    return Report(
        Identity("lake", 1, None, "", 1, NOW, "0", None, None),
        tuple(standings),
        Reconciliation(0, 0, 0, 0, ()),
        (),
        runs,
        Verification(None, 0, 0, 0, 0, 0, ()),
        Changes((), 0, 0, ()),
        UsageFacts(0, (), None, (), 0, Usage()),
        Quality((), 0, 0, 0, 0),
        Growth((), ()),
        (),
    )


def days(*numbers: int) -> list[date]:
    """Return days of March 2026."""
    return [date(2026, 3, number) for number in numbers]


def test_a_night_without_a_run_is_missed() -> None:
    """The days between two runs that are far apart, and those since the last one but today."""
    found = report(run("10T02:00"), run("11T02:00"), run("14T02:00"), run("17T02:00"))
    assert missed_days(found) == days(12, 13, 15, 16, 18, 19)


def test_a_run_that_moves_across_midnight_leaves_no_hole() -> None:
    """Daylight saving time moves a nightly run by an hour, from one UTC day to the next."""
    found = report(run("17T23:30"), run("19T00:30"), run("20T00:30"))
    assert missed_days(found) == []


def test_today_is_open() -> None:
    """Today does not count as missed: its backup may still come."""
    found = report(run("18T20:00"), run("19T20:00"))
    assert missed_days(found) == []
    (month,) = months(found)
    states = {day.day.day: day.state for week in month.weeks for day in week if day}
    assert (states[17], states[19], states[20], states[21]) == (
        "before",
        "complete",
        "open",
        "later",
    )


def test_a_killed_run_is_a_failed_backup_unless_another_did_better() -> None:
    """The best run of a day counts."""
    found = report(
        run("18T02:00", "killed"), run("19T02:00", "failed"), run("19T09:00"), run("20T02:00")
    )
    (month,) = months(found)
    states = {day.day.day: day.state for week in month.weeks for day in week if day}
    assert (states[18], states[19]) == ("failed", "complete")


def test_the_worst_source_decides() -> None:
    """One source without a backup makes the day one without; one that was removed needs none."""
    runs = [run(f"{day}T02:00") for day in range(16, 21)]
    other = [run("16T02:00", source="other"), run("17T02:00", source="other")]
    assert missed_days(report(*runs, *other)) == days(18, 19)
    assert missed_days(report(*runs, *other, left="other")) == []


@pytest.mark.parametrize(
    ("text", "end"), [("2026-02", date(2026, 3, 1)), ("2025-12", date(2026, 1, 1))]
)
def test_a_month_ends_where_the_next_begins(text: str, end: date) -> None:
    """A month has all of its days, whatever its length."""
    period = period_of(text)
    assert period is not None
    assert period.end == end
    assert period.holds(end - timedelta(days=1))
    assert not period.holds(end)


def test_bars_stack_to_their_sum() -> None:
    """Heights add up to the day's share of the scale, and many groups share one colour."""
    amounts = [(date(2026, 3, day), f"model-{n}", 1.0 + n) for day in (1, 2) for n in range(10)]
    names = ranked(amounts)
    chart = stacked(amounts, names, date(2026, 3, 1), date(2026, 3, 2), short)
    assert chart is not None
    assert (len(names), names[-1]) == (7, "all others")
    first = [bar for bar in chart.bars if bar.x < 500]
    assert chart.scale == ("100", "50", "0")
    assert sum(bar.height for bar in first) == pytest.approx(55, abs=0.1)


@pytest.mark.parametrize(
    ("span", "unit"), [(91, "day"), (92, "week"), (600, "week"), (900, "month")]
)
def test_long_times_have_wider_bars(span: int, unit: str) -> None:
    """At most 93 of them, and the last one holds everything."""
    last = date(2026, 3, 20)
    came = [(last - timedelta(days=back), 2) for back in range(span, -1, -1)]
    chart = cumulated(came, last, short, "rows")
    assert chart is not None
    assert chart.unit == unit
    assert len(chart.bars) <= 93
    assert chart.bars[-1].title.endswith(f"rows: {short(2 * (span + 1))}")


def test_words_of_figures() -> None:
    """A share is never shown as nothing, or all, unless it is."""
    assert (share(1, 100_000), share(99_999, 100_000), share(0, 5)) == (
        "< 0.1 %",
        "> 99.9 %",
        "0 %",
    )
    assert (share(5, 5), share(1, 3), share(0, 0)) == ("100 %", "33.3 %", "–")
    assert (dollars(None), dollars(0.0), dollars(0.0123), dollars(1234.5)) == (
        "–", "$0.00", "$0.0123", "$1,234.50",
    )  # fmt: skip
    assert listed(["a"], 3) == "a"
    assert listed(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"
    assert length(timedelta(hours=49)) == "2 days"
