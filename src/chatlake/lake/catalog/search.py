"""Which completions a reader wants to see, newest first, and which days were searched.

A lake has years, a reader wants fifty rows. So days are read in windows of 1, 3, 9 … days, from the
newest on, until enough rows are found, or the next window would take too long. The result says
which days were not searched, so "not in the last thirteen days" is not taken for "nowhere".

Words are found in the texts, refusals and tool calls of messages, whatever their case. All words
must be in one message; several words in double quotes are one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

Ask = Callable[[str, dict[str, Any]], list[tuple[Any, ...]]]
"""Runs a query with its named parameters and returns all rows."""

MOST_WORDS: Final = 10
_GROWTH: Final = 3  # of the windows
_TERM: Final = re.compile(r'"([^"]*)"?|(\S+)')


@dataclass(frozen=True, slots=True)
class Selection:
    """What a reader asks for; empty or None means no restriction.

    `since` and `until` are UTC days, both included. `value` applies only together with `key`.
    """

    words: tuple[str, ...] = ()
    source: str | None = None
    model: str | None = None
    key: str | None = None
    value: str | None = None
    since: date | None = None
    until: date | None = None
    finish_reason: str | None = None
    tool: str | None = None
    with_images: bool = False
    refused: bool = False
    deleted: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the order of the list. `created_us`: microseconds since 1970; None is oldest."""

    created_us: int | None
    source: str = ""
    completion_id: str = ""

    @property
    def newest_day(self) -> date:
        """The newest UTC day with rows after it; those without a time count as of 1970-01-01."""
        created_us = self.created_us or 0
        if not self.source:  # no row has exactly this time
            created_us -= 1
        return datetime.fromtimestamp(created_us // 1_000_000, UTC).date()

    @classmethod
    def before(cls, day: date) -> Place:
        """Return the place between a day and the day before it."""
        began = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return cls(int(began.timestamp()) * 1_000_000)


@dataclass(frozen=True, slots=True)
class Listed:
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

    rows: tuple[Listed, ...]
    newest: date | None
    oldest: date | None
    days_looked_at: int
    days_left: int
    next_place: Place | None


def terms(text: str) -> tuple[str, ...]:
    """Return the words that were typed; text in double quotes is one word."""
    found = (match[1] if match[1] is not None else match[2] for match in _TERM.finditer(text))
    return tuple(word.strip() for word in found if word.strip())[:MOST_WORDS]


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
    selection: Selection,
    *,
    count: int,
    before: Place | None = None,
    patience_s: float | None = None,
    on_window: Callable[[date, date], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Return up to `count` completions that meet `selection`, newest first, older than `before`.

    `days`: those that have completions, newest first. Without `patience_s` (seconds) all days are
    searched if necessary; with it, the search ends before a window that is likely to exceed it.
    `on_window` is called with the newest and the oldest day of a window before it is read.
    """
    wanted = [day for day in days if _is_wanted(day, selection, before)]
    rows: list[Listed] = []
    looked_at, began = 0, clock()
    for window in windows(wanted):
        at = clock()
        # The next window is likely to take _GROWTH times as long as the last one.
        if looked_at and patience_s is not None and (at - began) * (1 + _GROWTH) > patience_s:
            break
        if on_window is not None:
            on_window(window[0], window[-1])
        missing = count + 1 - len(rows)  # one more tells whether there is more
        sql, parameters = list_query(selection, window[-1], window[0], missing, before)
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


def list_query(
    selection: Selection, first: date, last: date, count: int, before: Place | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the query for the rows of `find` between two days, both included."""
    parameters: dict[str, Any] = {"first": first, "last": last, "count": count}
    conditions = ["created_date BETWEEN $first AND $last"]
    conditions += _completion_conditions(selection, parameters)
    if before is not None:
        conditions.append(_is_older(before, parameters))
    hits = _message_conditions(selection, parameters)
    join = ""
    if hits:
        join = f"""JOIN (
            SELECT source, created_date, completion_id, min(message_index) AS hit
            FROM messages
            WHERE created_date BETWEEN $first AND $last AND {" AND ".join(hits)}
            GROUP BY ALL
        ) USING (source, created_date, completion_id)"""  # noqa: S608 - every value is a parameter
    sql = f"""
        SELECT source, created_date, completion_id, epoch_us(created_at), model, total_tokens,
            message_count, image_count, choice_count, finish_reasons, deleted_at IS NOT NULL,
            {"hit" if hits else "NULL"}
        FROM completions {join}
        WHERE {" AND ".join(conditions)}
        ORDER BY created_at DESC NULLS LAST, source DESC, completion_id DESC
        LIMIT $count"""  # noqa: S608 - every value is a parameter
    return sql, parameters


def pattern(word: str) -> str:
    """Return a regular expression that finds a word, in the syntax of both DuckDB and Python."""
    return re.escape(word)


def _is_wanted(day: date, selection: Selection, before: Place | None) -> bool:
    return (
        (selection.since is None or day >= selection.since)
        and (selection.until is None or day <= selection.until)
        and (before is None or day <= before.newest_day)
    )


def _is_older(before: Place, parameters: dict[str, Any]) -> str:
    parameters |= {"at_source": before.source, "at_id": before.completion_id}
    rest = "(source < $at_source OR (source = $at_source AND completion_id < $at_id))"
    if before.created_us is None:
        return f"created_at IS NULL AND {rest}"
    parameters["at"] = before.created_us
    at = "make_timestamptz($at)"
    return f"(created_at < {at} OR created_at IS NULL OR (created_at = {at} AND {rest}))"


def _completion_conditions(selection: Selection, parameters: dict[str, Any]) -> Iterator[str]:
    for name in ("source", "model"):
        if (value := getattr(selection, name)) is not None:
            parameters[name] = value
            yield f"{name} = ${name}"
    if selection.key is not None:
        parameters["key"] = selection.key
        if selection.value is None:
            yield "map_contains(metadata, $key)"
        else:
            parameters["value"] = selection.value
            yield "metadata[$key] = $value"
    if selection.finish_reason is not None:
        parameters["finish_reason"] = selection.finish_reason
        yield "list_contains(finish_reasons, $finish_reason)"
    if selection.with_images:
        yield "image_count > 0"
    if selection.deleted:
        yield "deleted_at IS NOT NULL"
    if selection.changed:
        yield """(source, completion_id) IN (
            SELECT (source, completion_id) FROM completion_history
            WHERE change = 'changed' AND created_date BETWEEN $first AND $last)"""


def _message_conditions(selection: Selection, parameters: dict[str, Any]) -> list[str]:
    conditions = []
    for number, word in enumerate(selection.words):
        parameters[f"word_{number}"] = pattern(word)
        # RE2 needs half the time of ILIKE, and no input makes it slow.
        places = (
            f"regexp_matches({place}, $word_{number}, 'i')"
            for place in ("text", "refusal", "tool_calls::VARCHAR")
        )
        conditions.append(f"({' OR '.join(places)})")
    if selection.tool is not None:
        parameters["tool"] = selection.tool
        names = (
            f"list_contains(json_extract_string(tool_calls, '$[*].{kind}.name'), $tool)"
            for kind in ("function", "custom")
        )
        conditions.append(f"tool_calls IS NOT NULL AND ({' OR '.join(names)})")
    if selection.refused:
        conditions.append("refusal IS NOT NULL")
    return conditions


def _listed(row: tuple[Any, ...]) -> Listed:
    *first, reasons, is_deleted, hit = row
    known = tuple(reason for reason in reasons or () if reason is not None)
    values: Any = (*first, known, is_deleted, hit)
    return Listed(*values)
