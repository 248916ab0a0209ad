"""What narrows a selection besides its condition: times, deletions, a sample, a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import duckdb

from chatlake.config.durations import parse_duration
from chatlake.errors import UsageError
from chatlake.exports.selection import reading, selected
from chatlake.lake.lake import Lake

# Twelve hexadecimal digits of a hash that is the same in every release of DuckDB.
_SAMPLED: Final = "left(md5(concat($seed, chr(0), source, chr(0), completion_id)), 12) < $below"
_HEX_DIGITS: Final = 12
_MOST: Final = 1_000_000_000  # completions; DuckDB takes no limit that is far larger
_NARROW: Final = """
CREATE TEMP TABLE narrowed AS
SELECT source, completion_id, created_date
FROM completions SEMI JOIN selected USING (source, completion_id, created_date)
WHERE {condition}
ORDER BY created_date, created_at NULLS FIRST, source, completion_id
{limit}
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which completions an export takes; the defaults take all.

    `where`: a condition on the view `completions`. `since`: not before this time, UTC; `until`:
    before this time. `sample`: this share of them, from 0 to 1, chosen by a hash of their ids and
    `seed`. `limit`: at most this many, the oldest. Without `deleted`, completions deleted at the
    source are left out.
    """

    where: str | None = None
    sources: tuple[str, ...] | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None
    sample: float | None = None
    seed: int = 0
    deleted: bool = True

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            moment(getattr(self, name), f"--{name}")
        if self.limit is not None and not 0 <= self.limit <= _MOST:
            raise UsageError(f"--limit is {self.limit}", hint=f"Give 0 to {_MOST:,}.")
        if self.sample is not None and not 0 <= self.sample <= 1:
            raise UsageError(
                f"--sample is {self.sample}", hint="Give a share from 0 to 1, such as 0.1."
            )

    def as_options(self) -> dict[str, Any]:
        """Return the options that were given, for the report."""
        given = asdict(self)
        defaults = asdict(Selection())
        return {name: value for name, value in given.items() if value != defaults[name]}


def moment(text: str | None, option: str) -> datetime | None:
    """Return the time that an option names; UsageError unless it is a date, a time or an age."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-01-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        named = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.now(UTC) - parse_duration(text)
        except (ValueError, OverflowError):
            raise UsageError(
                f"{option} is {text!r}, which is neither a time nor an age",
                hint="Write 2026-01-31, 2026-01-31T18:00:00Z or an age such as 7d.",
            ) from None
    return named.replace(tzinfo=UTC) if named.tzinfo is None else named.astimezone(UTC)


@contextmanager
def chosen(lake: Lake, selection: Selection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the views with the table `selected`, narrowed. Errors as `selection.selected`."""
    sources: Sequence[str] | None = selection.sources
    with selected(lake, where=selection.where, sources=sources) as connection:
        with reading(lake):
            _narrow(connection, selection)
        yield connection


def _narrow(connection: duckdb.DuckDBPyConnection, selection: Selection) -> None:
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    for name, operator in (("since", ">="), ("until", "<")):
        time = moment(getattr(selection, name), f"--{name}")
        if time is not None:
            # The day spares DuckDB the files of other days.
            conditions += [
                f"created_at {operator} ${name}",
                f"created_date {operator[0]}= ${name}_day",
            ]
            parameters |= {name: time, f"{name}_day": time.date()}
    if not selection.deleted:
        conditions.append("deleted_at IS NULL")
    if selection.sample is not None:
        below = int(selection.sample * 16**_HEX_DIGITS)
        conditions.append(_SAMPLED)
        # `g` sorts after every hexadecimal digit, so a share of 1 takes all.
        text = "g" if selection.sample == 1 else f"{below:0{_HEX_DIGITS}x}"
        parameters |= {"seed": str(selection.seed), "below": text}
    if not conditions and selection.limit is None:
        return
    limit = "" if selection.limit is None else f"LIMIT {selection.limit:d}"
    condition = " AND ".join(conditions) or "true"
    connection.execute(_NARROW.format(condition=condition, limit=limit), parameters)
    connection.execute("DROP TABLE selected")
    connection.execute("ALTER TABLE narrowed RENAME TO selected")
