"""The earlier and later turns of a conversation.

An application that holds a conversation sends all of it again with each question. So a later turn
is a completion whose inputs begin with the inputs and the reply of this one. The day itself and its
neighbours are looked at.

Reading all texts of a day takes longer than the rest of the page. So each day is read once for each
commit, into a table of its own in memory that has a hash in place of each text. The days of a list
are read in the background.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any, Final

from chatlake.web.browse.catalogue import Session
from chatlake.web.shown import visible

_DAY: Final = timedelta(days=1)
_MOST: Final = 20
_MOST_CANDIDATES: Final = 200
_HEAD: Final = 120
_AHEAD: Final = 3
_KEPT_MESSAGES: Final = 1_000_000  # some 180 MB; what one page needs stays in any case
_LEAST_MESSAGES: Final = 250  # what a quiet day counts as, because any table takes 45 kB
_READ: Final = f"""
CREATE OR REPLACE TABLE memory.main.{{table}} AS
SELECT created_date AS day, completion_id AS id, epoch_us(created_at) AS created_us,
    message_index AS index, direction, role, tool_call_id AS answers,
    hash(coalesce(text, '')) AS text, json_extract_string(tool_calls, '$[*].id') AS calls,
    CASE WHEN role = 'user' THEN left(text, {_HEAD}) END AS head
FROM messages
WHERE created_date = $day AND source = $source
"""  # noqa: S608 - of constants
_FORGET: Final = "DROP TABLE IF EXISTS memory.main.{table}"
_OWN: Final = """
SELECT index, direction, role, answers, text, calls
FROM memory.main.{table}
WHERE id = $id
ORDER BY index
"""
_CANDIDATES: Final = """
SELECT DISTINCT day, id
FROM ({tables})
WHERE id <> $id AND direction = '{direction}' AND role = 'assistant' AND ({places})
LIMIT {most}
"""
_THEIRS: Final = """
SELECT day, id, created_us, direction, role, answers, text, calls, head
FROM ({tables})
WHERE id IN (SELECT unnest($ids))
ORDER BY day, id, index
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """Another turn of the same conversation: `said` is what the user said last in it."""

    source: str
    day: date
    completion_id: str
    created_us: int | None
    said: str


@dataclass(slots=True)
class _Talk:
    """Inputs as (role, hash, id of the call that it answers); replies as (hash, ids of calls)."""

    day: date
    created_us: int | None
    inputs: list[tuple[str | None, int, str | None]]
    replies: list[tuple[int, tuple[str, ...]]]
    said: str = ""

    def goes_on_as(self, later: _Talk) -> bool:
        """Say whether `later` begins with these inputs and one of these replies."""
        count = len(self.inputs)
        if len(later.inputs) <= count or not count:
            return False
        if later.inputs[:count] != self.inputs:
            return False
        role, said, _ = later.inputs[count]
        after = later.inputs[count + 1][2] if len(later.inputs) > count + 1 else None
        return role == "assistant" and any(
            said == text and (not calls or after in calls) for text, calls in self.replies
        )


@dataclass(frozen=True, slots=True)
class _ReadDay:
    """A day in memory: its table, and how many messages that has."""

    table: str
    messages: int


def read_days(session: Session, days: Iterable[tuple[str, date]]) -> None:
    """Read the days (source, day) into memory that are not there yet; unused ones go first."""
    needed = list(days)
    for source, day in needed:
        with session.alone("said") as kept:
            if (source, day) in kept:
                kept[source, day] = kept.pop((source, day))  # used last
                continue
            taken = {read.table for read in kept.values()}
            table = next(name for n in count() if (name := f"said_{n}") not in taken)
            ((messages,),) = session.ask(_READ.format(table=table), {"source": source, "day": day})
            kept[source, day] = _ReadDay(table, messages)
            _forget_some(session, kept, needed)


def _forget_some(
    session: Session,
    kept: dict[tuple[str, date], _ReadDay],
    needed: Sequence[tuple[str, date]],
) -> None:
    """Drop the days that were used longest ago, until the rest is small enough."""
    held = sum(max(read.messages, _LEAST_MESSAGES) for read in kept.values())
    for other in [key for key in kept if key not in needed]:
        if held <= _KEPT_MESSAGES:
            return
        gone = kept.pop(other)
        held -= max(gone.messages, _LEAST_MESSAGES)
        session.ask(_FORGET.format(table=gone.table))


def days_around(listed: Iterable[tuple[str, date]]) -> list[tuple[str, date]]:
    """Return the first of some days (source, day) and their neighbours: what is read ahead."""
    ahead = list(dict.fromkeys(listed))[:_AHEAD]
    return [(source, day + step) for source, day in ahead for step in (-_DAY, _DAY, 0 * _DAY)]


def turns_around(
    session: Session, source: str, day: date, completion_id: str
) -> tuple[list[Turn], list[Turn]]:
    """Return the earlier and the later turns, each in the order of time."""
    with session.alone("said") as kept:  # no other page drops a day in here
        read_days(session, days_around([(source, day)]))
        near = _Near(session, source, day, kept)
        return near.turns(completion_id)


@dataclass(frozen=True, slots=True)
class _Near:
    """A day and its neighbours, in memory."""

    session: Session
    source: str
    day: date
    kept: dict[tuple[str, date], _ReadDay]

    def turns(self, completion_id: str) -> tuple[list[Turn], list[Turn]]:
        """Return the earlier and the later turns of a completion of the day."""
        own, places = self._own(completion_id)
        if not own.inputs:
            return [], []
        replies = list({(len(own.inputs), text) for text, _ in own.replies})
        earlier_days, later_days = (self.day - _DAY, self.day), (self.day, self.day + _DAY)
        before = self._talks(completion_id, "output", places[-8:], earlier_days)
        after = self._talks(completion_id, "input", replies, later_days)
        earlier = {name: talk for name, talk in before.items() if talk.goes_on_as(own)}
        later = {name: talk for name, talk in after.items() if own.goes_on_as(talk)}
        # If there are too many, those nearest in time are listed.
        return _turns(self.source, earlier)[-_MOST:], _turns(self.source, later)[:_MOST]

    def _own(self, completion_id: str) -> tuple[_Talk, list[tuple[int, int]]]:
        """Return a completion's own talk, and where the assistant speaks in its inputs."""
        own = _Talk(self.day, None, [], [])
        places: list[tuple[int, int]] = []
        sql = _OWN.format(table=self.kept[self.source, self.day].table)
        for index, direction, role, answers, text, calls in self.session.ask(
            sql, {"id": completion_id}
        ):
            if direction == "output":
                own.replies.append((text, tuple(calls or ())))
                continue
            own.inputs.append((role, text, answers))
            if role == "assistant" and index:
                places.append((index, text))
        return own, places

    def _talks(
        self,
        completion_id: str,
        direction: str,
        places: Sequence[tuple[int, int]],
        days: tuple[date, date],
    ) -> dict[str, _Talk]:
        """Return the completions of these days that have one of the texts at its position."""
        if not places:
            return {}
        tables = " UNION ALL ".join(
            f"FROM memory.main.{self.kept[self.source, day].table}" for day in days
        )
        parameters: dict[str, Any] = {"id": completion_id}
        conditions = []
        for number, (index, text) in enumerate(places):
            parameters |= {f"at_{number}": index, f"text_{number}": text}
            # A reply comes after the inputs, or after the earlier replies.
            comparison = "=" if direction == "input" else ">="
            conditions.append(f"(index {comparison} $at_{number} AND text = $text_{number})")
        sql = _CANDIDATES.format(
            tables=tables,
            direction=direction,
            places=" OR ".join(conditions),
            most=_MOST_CANDIDATES,
        )
        ids = [name for _, name in self.session.ask(sql, parameters)]
        found: dict[str, _Talk] = {}
        if not ids:
            return found
        for day, name, created_us, kind, role, answers, text, calls, head in self.session.ask(
            _THEIRS.format(tables=tables), {"ids": ids}
        ):
            talk = found.setdefault(name, _Talk(day, created_us, [], []))
            if kind == "output":
                talk.replies.append((text, tuple(calls or ())))
            else:
                talk.inputs.append((role, text, answers))
                talk.said = head or talk.said
        return found


def _turns(source: str, talks: dict[str, _Talk]) -> list[Turn]:
    ordered = sorted(talks.items(), key=lambda entry: (entry[1].created_us or 0, entry[0]))
    return [
        Turn(source, talk.day, name, talk.created_us, visible(" ".join(talk.said.split())))
        for name, talk in ordered
    ]
