"""The list of conversations: what its address asks for, and what the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote, urlencode

from chatlake.lake.catalog.excerpts import Summary, summaries
from chatlake.lake.catalog.search import (
    MOST_WORDS,
    Found,
    ListRow,
    all_terms,
    find,
    find_by_id,
    stored_days,
    terms,
)
from chatlake.lake.catalog.search_query import Criteria, Place
from chatlake.web.browse.catalogue import Session

ROWS: Final = 50
_PATIENCE_S: Final = 4.0  # for a search, before it offers to continue
_LONGEST: Final = 500  # characters of a field


@dataclass(frozen=True, slots=True)
class ListFields:
    """The fields of the list's address, as typed."""

    q: str = ""
    model: str = ""
    source: str = ""
    key: str = ""
    value: str = ""
    since: str = ""
    until: str = ""
    finish: str = ""
    tool: str = ""
    image: str = ""
    refusal: str = ""
    deleted: str = ""
    changed: str = ""
    before: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> ListFields:
        """Read an address; `from` and `to` are `since` and `until`."""
        named = {_NAMES.get(field.name, field.name): field.name for field in fields(cls)}
        return cls(
            **{named[key]: value.strip()[:_LONGEST] for key, value in query.items() if key in named}
        )

    @property
    def is_filtered(self) -> bool:
        """Whether the list is filtered."""
        return replace(self, before="") != ListFields()

    @property
    def filters(self) -> int:
        """How many fields other than the words are set."""
        shown = replace(self, q="", before="", value="")
        return sum(bool(getattr(shown, field.name)) for field in fields(self))

    def address(self, **changes: str) -> str:
        """Return the list's address with some fields changed."""
        changed = replace(self, **changes)
        pairs = [(_NAMES.get(f.name, f.name), getattr(changed, f.name)) for f in fields(self)]
        query = urlencode([(name, value) for name, value in pairs if value])
        return f"/?{query}" if query else "/"

    def criteria(self) -> Criteria:
        """Return what to look for; an invalid day is left out."""
        return Criteria(
            words=terms(self.q),
            source=self.source or None,
            model=self.model or None,
            key=self.key or None,
            value=self.value or None,
            since=_day(self.since),
            until=_day(self.until),
            finish_reason=self.finish or None,
            tool=self.tool or None,
            with_images=bool(self.image),
            refused=bool(self.refusal),
            deleted=bool(self.deleted),
            changed=bool(self.changed),
        )


_NAMES: Final = {"since": "from", "until": "to"}


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of the list: the completion, its excerpt, and the address of its page."""

    listed: ListRow
    summary: Summary
    address: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """What the page shows. `days`: rows by day. `next_address`: older rows, or older days.

    `words_left_out`: what was typed and is not searched for.
    """

    asked: ListFields
    criteria: Criteria
    found: Found
    days: list[tuple[date, list[ShownRow]]]
    next_address: str | None
    choices: dict[str, list[str]]
    stored: int
    words_left_out: tuple[str, ...]


def list_page(session: Session, asked: ListFields) -> ListPage:
    """Make the page of an address; `conversation_named` recognises an id before."""
    criteria = asked.criteria()
    days = session.once("days", lambda: stored_days(session.ask))
    found = find(
        session.ask,
        [day for day, _ in days],
        criteria,
        count=ROWS,
        before=_place(asked.before),
        patience_s=_PATIENCE_S,
    )
    told = summaries(session.ask, found.rows, criteria.words)
    rows = [ShownRow(row, told[row.place], address_of(row, criteria)) for row in found.rows]
    next_place = found.next_place
    return ListPage(
        asked=asked,
        criteria=criteria,
        found=found,
        days=[(day, list(group)) for day, group in groupby(rows, key=lambda row: row.listed.day)],
        next_address=None if next_place is None else asked.address(before=_written(next_place)),
        choices=session.once("choices", lambda: _choices(session, days)),
        stored=sum(count for _, count in days),
        words_left_out=all_terms(asked.q)[MOST_WORDS:],
    )


def conversation_named(session: Session, asked: ListFields) -> str | None:
    """Return the address of the conversation whose id was typed, if there is only one."""
    words = terms(asked.q)
    if len(words) != 1 or len(words[0]) < 8:
        return None
    found = find_by_id(session.ask, words[0])
    return conversation_address(*found[0], words[0]) if len(found) == 1 else None


def address_of(row: ListRow, criteria: Criteria) -> str:
    """Return the address of a row's page; after a search, of the message that matched."""
    address = conversation_address(row.source, row.day, row.completion_id)
    return address if row.hit is None or not criteria.words else f"{address}#m{row.hit}"


def conversation_address(source: str, day: date, completion_id: str) -> str:
    """Return the address of a conversation's page."""
    return f"/c/{quote(source, safe='')}/{day}/{quote(completion_id, safe='')}"


def _choices(session: Session, days: list[tuple[date, int]]) -> dict[str, list[str]]:
    """Return the choices of the fields, from the newest 60 days."""
    if not days:
        return {"models": [], "sources": [], "finishes": [], "keys": [], "tools": []}
    first = {"first": days[min(59, len(days) - 1)][0]}
    queries = {
        "models": "SELECT DISTINCT model FROM completions",
        "sources": "SELECT DISTINCT source FROM completions",
        "finishes": "SELECT DISTINCT unnest(finish_reasons) FROM completions",
        "keys": "SELECT DISTINCT unnest(map_keys(metadata)) FROM completions",
        "tools": "SELECT DISTINCT unnest(json_extract_string(tool_calls, '$[*].function.name')) "
        "FROM messages",
    }
    found: dict[str, list[str]] = {}
    for name, query in queries.items():
        rows: list[tuple[Any, ...]] = session.ask(
            f"FROM ({query} WHERE created_date >= $first) LIMIT 200", first
        )
        found[name] = sorted(value for (value,) in rows if value)
    return found


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _written(place: Place) -> str:
    at = "" if place.created_us is None else str(place.created_us)
    return "~".join((at, place.source, place.completion_id))


def _place(text: str) -> Place | None:
    at, source, completion_id = (*text.split("~", 2), "", "")[:3]
    if not text or (not at and not source):
        return None
    if at and not at.lstrip("-").isdecimal():
        return None
    created_us = int(at) if at else None
    if created_us is not None and not -(2**55) < created_us < 2**55:
        return None
    return Place(created_us, source, completion_id)
