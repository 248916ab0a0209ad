"""Which days had a backup, and which had completions.

A day lacks a backup if none ran on it and the two runs around it are more than 36 hours apart: a
nightly run that daylight saving time moves across midnight UTC leaves no hole. The current day is
open until that time has passed. A source that has left the configuration needs no more backups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal

from chatlake.web.report.facts import Period, Report, Run

State = Literal["before", "complete", "incomplete", "failed", "missed", "moved", "open", "later"]

_LONGEST: Final = timedelta(hours=36)
_DAY: Final = timedelta(days=1)
_MOST_MONTHS: Final = 24
# The better of two runs of one source on one day counts, the worse of two sources.
_BEST: Final = ("complete", "incomplete", "failed")
_WORST: Final[tuple[State, ...]] = (
    "missed", "failed", "incomplete", "open", "moved", "complete", "later", "before",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day: its backup, and the completions created on it.

    `state`: before the first backup; complete, incomplete, failed: how its best run ended; missed;
    moved: without its own run, but those around it are close; open: today; later: in the future.
    `shade`: 0 for no completions, 1 to 4 by their number.
    """

    day: date
    state: State
    completions: int
    shade: int


@dataclass(frozen=True, slots=True)
class Month:
    """A month in weeks from Monday; None for days of other months."""

    first: date
    weeks: tuple[tuple[Day | None, ...], ...]


def missed_days(report: Report) -> list[date]:
    """Return the days without a backup of some source, oldest first, within the report's period."""
    period = report.identity.period
    states = _states(report)
    return [
        day
        for day, state in sorted(states.items())
        if state == "missed" and (period is None or period.holds(day))
    ]


def is_daily(report: Report) -> bool:
    """Say whether at least half of the days since the first backup have one."""
    states = _states(report)
    missed = sum(state == "missed" for state in states.values())
    return 2 * missed <= len(states)


def months(report: Report) -> list[Month]:
    """Return the months of the calendar, oldest first: the report's own, or at most the last 24."""
    now, period = report.identity.generated_at, report.identity.period
    created = dict(report.daily_completions)
    states = _states(report)
    today = now.date()
    known = [day for day in (*created, *states) if day <= today]
    first = min(known, default=today).replace(day=1)
    last = today.replace(day=1)
    if period is not None:
        first = last = period.first
    found = list(_months_between(first, last))[-_MOST_MONTHS:]
    most = max((count for day, count in created.items() if day <= today), default=0)
    return [_month(month, states, created, today, most) for month in found]


def _months_between(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first = (first + timedelta(days=31)).replace(day=1)


def _month(
    first: date, states: dict[date, State], created: dict[date, int], today: date, most: int
) -> Month:
    cells: list[Day | None] = [None] * first.weekday()
    day = first
    while day.month == first.month:
        state = states.get(day, "before" if day <= today else "later")
        count = created.get(day, 0)
        cells.append(Day(day, state, count, _shade(count, most)))
        day += _DAY
    cells += [None] * (-len(cells) % 7)
    return Month(first, tuple(tuple(cells[i : i + 7]) for i in range(0, len(cells), 7)))


def _shade(count: int, most: int) -> int:
    return min(4, 1 + 4 * count // (most + 1)) if count else 0


def _states(report: Report) -> dict[date, State]:
    """Return the state of every day from the first backup until today, the worst of all sources."""
    now = report.identity.generated_at
    left = {standing.name for standing in report.standings if not standing.configured}
    by_source: dict[str, list[Run]] = defaultdict(list)
    for run in report.runs:
        if run.started_at <= now:
            by_source[run.source].append(run)
    found: dict[date, State] = {}
    for source, own in by_source.items():
        until = max(run.ended_at for run in own) if source in left else now
        for day, state in _of_source(own, min(until, now)):
            found[day] = min(found.get(day, state), state, key=_WORST.index)
    return found


def _of_source(runs: Sequence[Run], until: datetime) -> Iterator[tuple[date, State]]:
    results: dict[date, set[str]] = defaultdict(set)
    for run in runs:
        word = run.status if run.status in _BEST else "failed"
        # A run across midnight is the backup of both days.
        for day in {run.started_at.date(), run.ended_at.date()}:
            results[day].add("open" if run.status == "running" else word)
    moments = sorted({moment for run in runs for moment in (run.started_at, run.ended_at)})
    day = moments[0].date()
    while day <= until.date():
        yield day, _result(results[day]) if day in results else _without_run(day, moments, until)
        day += _DAY


def _result(words: Iterable[str]) -> State:
    found = set(words)
    if "complete" in found:
        return "complete"
    if "open" in found:
        return "open"
    return "incomplete" if "incomplete" in found else "failed"


def _without_run(day: date, moments: list[datetime], now: datetime) -> State:
    begins = datetime.combine(day, time.min, UTC)
    before = max(moment for moment in moments if moment < begins)
    after = min((moment for moment in moments if moment >= begins), default=now)
    if day == now.date():
        return "open"
    return "missed" if after - before > _LONGEST else "moved"


def period_of(month: str) -> Period | None:
    """Return the period of `YYYY-MM`; None if that is not a month."""
    try:
        if len(month) != len("2026-01"):
            return None
        first = date.fromisoformat(f"{month}-01")
        return Period(month, first, (first + timedelta(days=31)).replace(day=1))
    except (ValueError, OverflowError):
        return None
