"""What a reader asks for, as SQL on the views.

Words are found in the texts, refusals and tool calls of messages, whatever their case. All words
must be in one message; several words in double quotes are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Criteria:
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


def list_query(
    criteria: Criteria, first: date, last: date, count: int, before: Place | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the query for the rows of `find` between two days, both included."""
    parameters: dict[str, Any] = {"first": first, "last": last, "count": count}
    conditions = ["created_date BETWEEN $first AND $last"]
    conditions += _completion_conditions(criteria, parameters)
    if before is not None:
        conditions.append(_is_older(before, parameters))
    hits = _message_conditions(criteria, parameters)
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


def _is_older(before: Place, parameters: dict[str, Any]) -> str:
    parameters |= {"at_source": before.source, "at_id": before.completion_id}
    rest = "(source < $at_source OR (source = $at_source AND completion_id < $at_id))"
    if before.created_us is None:
        return f"created_at IS NULL AND {rest}"
    parameters["at"] = before.created_us
    at = "make_timestamptz($at)"
    return f"(created_at < {at} OR created_at IS NULL OR (created_at = {at} AND {rest}))"


def _completion_conditions(criteria: Criteria, parameters: dict[str, Any]) -> Iterator[str]:
    for name in ("source", "model"):
        if (value := getattr(criteria, name)) is not None:
            parameters[name] = value
            yield f"{name} = ${name}"
    if criteria.key is not None:
        parameters["key"] = criteria.key
        if criteria.value is None:
            yield "map_contains(metadata, $key)"
        else:
            parameters["value"] = criteria.value
            yield "metadata[$key] = $value"
    if criteria.finish_reason is not None:
        parameters["finish_reason"] = criteria.finish_reason
        yield "list_contains(finish_reasons, $finish_reason)"
    if criteria.with_images:
        yield "image_count > 0"
    if criteria.deleted:
        yield "deleted_at IS NOT NULL"
    if criteria.changed:
        yield """(source, completion_id) IN (
            SELECT (source, completion_id) FROM completion_history
            WHERE change = 'changed' AND created_date BETWEEN $first AND $last)"""


def _message_conditions(criteria: Criteria, parameters: dict[str, Any]) -> list[str]:
    conditions = []
    for number, word in enumerate(criteria.words):
        parameters[f"word_{number}"] = pattern(word)
        # RE2 needs half the time of ILIKE, and no input makes it slow.
        places = (
            f"regexp_matches({place}, $word_{number}, 'i')"
            for place in ("text", "refusal", "tool_calls::VARCHAR")
        )
        conditions.append(f"({' OR '.join(places)})")
    if criteria.tool is not None:
        parameters["tool"] = criteria.tool
        names = (
            f"list_contains(json_extract_string(tool_calls, '$[*].{kind}.name'), $tool)"
            for kind in ("function", "custom")
        )
        conditions.append(f"tool_calls IS NOT NULL AND ({' OR '.join(names)})")
    if criteria.refused:
        conditions.append("refusal IS NOT NULL")
    return conditions
