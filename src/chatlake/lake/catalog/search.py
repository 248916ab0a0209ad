"""Which completions a reader wants to see, newest first, and which days were searched.

A lake has years, a reader wants fifty rows. So days are read in windows of 1, 3, 9 … days, from the
newest on, until enough rows are found, or the next window would take too long. The result says
which days were not searched, so "not in the last thirteen days" is not taken for "nowhere".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from chatlake.lake.catalog.search_query import Criteria, Place, list_query

Ask = Callable[[str, dict[str, Any]], list[tuple[Any, ...]]]
"""Runs a query with its named parameters and returns all rows."""

MOST_WORDS: Final = 10
_GROWTH: Final = 3  # of the windows
_TERM: Final = re.compile(r'"([^"]*)"?|(\S+)')


@dataclass(frozen=True, slots=True)
class ListRow:
    """A completion in a list. `hit`: the first message that contains the words."""

    source: str
    day: date
    completion_id: str
    created_us: int | None
    model: str | None
    total_tokens: int | None
    message_count: int | None
    image_count: int | None
    choice_count: int | None
    finish_reasons: tuple[str, ...]
    is_deleted: bool
    hit: int | None

    @property
    def place(self) -> Place:
        """Its place in the list."""
        return Place(self.created_us, self.source, self.completion_id)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows found, and the days searched.

    `newest`, `oldest`: the first and last day searched; None if none was. `days_left`: how many
    days with completions were not searched. `next_place`: where to continue; None at the end.
    """

    rows: tuple[ListRow, ...]
    newest: date | None
    oldest: date | None
    days_looked_at: int
    days_left: int
    next_place: Place | None


def terms(text: str) -> tuple[str, ...]:
    """Return the words that were typed, the first `MOST_WORDS`; text in double quotes is one."""
    return all_terms(text)[:MOST_WORDS]


def all_terms(text: str) -> tuple[str, ...]:
    """Return all words that were typed; text in double quotes is one."""
    found = (match[1] if match[1] is not None else match[2] for match in _TERM.finditer(text))
    return tuple(word.strip() for word in found if word.strip())


def stored_days(ask: Ask) -> list[tuple[date, int]]:
    """Return every day with completions, newest first, with their number."""
    rows = ask(
        "SELECT created_date, count(*) FROM completions GROUP BY created_date ORDER BY ALL DESC", {}
    )
    return [(day, count) for day, count in rows]


def windows(days: Sequence[date]) -> Iterator[Sequence[date]]:
    """Cut days into windows of 1, 3, 9 … of them."""
    start, size = 0, 1
    while start < len(days):
        yield days[start : start + size]
        start, size = start + size, size * _GROWTH


def find(
    ask: Ask,
    days: Sequence[date],
    criteria: Criteria,
    *,
    count: int,
    before: Place | None = None,
    patience_s: float | None = None,
    on_window: Callable[[date, date], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Return up to `count` completions that meet `criteria`, newest first, older than `before`.

    `days`: those that have completions, newest first. Without `patience_s` (seconds) all days are
    searched if necessary; with it, the search ends before a window that is likely to exceed it.
    `on_window` is called with the newest and the oldest day of a window before it is read.
    """
    wanted = [day for day in days if _is_wanted(day, criteria, before)]
    rows: list[ListRow] = []
    looked_at, began = 0, clock()
    for window in windows(wanted):
        at = clock()
        # The next window is likely to take _GROWTH times as long as the last one.
        if looked_at and patience_s is not None and (at - began) * (1 + _GROWTH) > patience_s:
            break
        if on_window is not None:
            on_window(window[0], window[-1])
        missing = count + 1 - len(rows)  # one more tells whether there is more
        sql, parameters = list_query(criteria, window[-1], window[0], missing, before)
        rows += [_listed(row) for row in ask(sql, parameters)]
        looked_at += len(window)
        if len(rows) > count:
            break
    left = len(wanted) - looked_at
    oldest = wanted[looked_at - 1] if looked_at else None
    if len(rows) > count:
        next_place: Place | None = rows[count - 1].place
    else:
        next_place = Place.before(oldest) if left and oldest else None
    newest = wanted[0] if looked_at else None
    return Found(tuple(rows[:count]), newest, oldest, looked_at, left, next_place)


def find_by_id(ask: Ask, completion_id: str) -> list[tuple[str, date]]:
    """Return (source, day) of every completion that has this id."""
    sql = "SELECT source, created_date FROM completions WHERE completion_id = $id ORDER BY ALL"
    return [(source, day) for source, day in ask(sql, {"id": completion_id})]


def _is_wanted(day: date, criteria: Criteria, before: Place | None) -> bool:
    return (
        (criteria.since is None or day >= criteria.since)
        and (criteria.until is None or day <= criteria.until)
        and (before is None or day <= before.newest_day)
    )


def _listed(row: tuple[Any, ...]) -> ListRow:
    *first, reasons, is_deleted, hit = row
    known = tuple(reason for reason in reasons or () if reason is not None)
    values: Any = (*first, known, is_deleted, hit)
    return ListRow(*values)
