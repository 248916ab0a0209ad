"""The earlier and later turns of a conversation.

An application that holds a conversation sends all of it again with each question. So a later turn
is a completion whose inputs begin with the inputs and the reply of this one. The day itself and its
neighbours are looked at.

Reading all texts of a day takes longer than the rest of the page. So each day is read once for each
commit, into a table in memory that has a hash in place of each text; a list that is shown has its
days read in the background.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from chatlake.web.browse.catalogue import Session
from chatlake.web.shown import visible

_DAY: Final = timedelta(days=1)
_MOST: Final = 20
_MOST_CANDIDATES: Final = 200
_HEAD: Final = 120
_AHEAD: Final = 3
_KEPT_MESSAGES: Final = 1_000_000  # some 150 MB; what one page needs stays in any case
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS memory.main.said (
    source VARCHAR, day DATE, id VARCHAR, created_us BIGINT, index INTEGER, direction VARCHAR,
    role VARCHAR, answers VARCHAR, text UBIGINT, calls VARCHAR[], head VARCHAR)
"""
_READ: Final = f"""
INSERT INTO memory.main.said
SELECT source, created_date, completion_id, epoch_us(created_at), message_index, direction,
    role, tool_call_id, hash(coalesce(text, '')), json_extract_string(tool_calls, '$[*].id'),
    CASE WHEN role = 'user' THEN left(text, {_HEAD}) END
FROM messages
WHERE created_date = $day AND source = $source
"""  # noqa: S608 - of constants
_FORGET: Final = "DELETE FROM memory.main.said WHERE day = $day AND source = $source"
_OWN: Final = """
SELECT index, direction, role, answers, text, calls
FROM memory.main.said
WHERE day = $day AND source = $source AND id = $id
ORDER BY index
"""
_CANDIDATES: Final = """
SELECT DISTINCT day, id
FROM memory.main.said
WHERE day BETWEEN $first AND $last AND source = $source AND id <> $id
    AND direction = '{direction}' AND role = 'assistant' AND ({places})
LIMIT {most}
"""
_THEIRS: Final = """
SELECT day, id, created_us, direction, role, answers, text, calls, head
FROM memory.main.said
WHERE day BETWEEN $first AND $last AND source = $source AND list_contains($ids, id)
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


def read_days(session: Session, days: Iterable[tuple[str, date]]) -> None:
    """Read the days (source, day) into memory that are not there yet; unused ones go first."""
    needed = list(days)
    for source, day in needed:
        with session.alone("said") as kept:
            if (source, day) in kept:
                kept[source, day] = kept.pop((source, day))  # used last
                continue
            if not kept:
                session.ask(_CREATE)
            parameters = {"source": source, "day": day}
            session.ask(_FORGET, parameters)  # what an interrupted page has left
            ((kept[source, day],),) = session.ask(_READ, parameters)
            for other in list(kept):
                if other not in needed and sum(kept.values()) > _KEPT_MESSAGES:
                    del kept[other]
                    session.ask(_FORGET, {"source": other[0], "day": other[1]})


def days_around(listed: Iterable[tuple[str, date]]) -> list[tuple[str, date]]:
    """Return the first of some days (source, day) and their neighbours: what is read ahead."""
    ahead = list(dict.fromkeys(listed))[:_AHEAD]
    return [(source, day + step) for source, day in ahead for step in (-_DAY, _DAY, 0 * _DAY)]


def turns_around(
    session: Session, source: str, day: date, completion_id: str
) -> tuple[list[Turn], list[Turn]]:
    """Return the earlier and the later turns, each in the order of time."""
    with session.alone("said"):  # until all is asked no other page lets a day go
        read_days(session, days_around([(source, day)]))
        return _turns_around(session, source, day, completion_id)


def _turns_around(
    session: Session, source: str, day: date, completion_id: str
) -> tuple[list[Turn], list[Turn]]:
    parameters = {"source": source, "day": day, "id": completion_id}
    own = _Talk(day, None, [], [])
    places: list[tuple[int, int]] = []
    for index, direction, role, answers, text, calls in session.ask(_OWN, parameters):
        if direction == "output":
            own.replies.append((text, tuple(calls or ())))
            continue
        own.inputs.append((role, text, answers))
        if role == "assistant" and index:
            places.append((index, text))
    if not own.inputs:
        return [], []
    replies = list({(len(own.inputs), text) for text, _ in own.replies})
    before = _talks(session, parameters, "output", places[-8:], (day - _DAY, day))
    after = _talks(session, parameters, "input", replies, (day, day + _DAY))
    earlier = {name: talk for name, talk in before.items() if talk.goes_on_as(own)}
    later = {name: talk for name, talk in after.items() if own.goes_on_as(talk)}
    return _turns(source, earlier), _turns(source, later)


def _talks(
    session: Session,
    own: dict[str, Any],
    direction: str,
    places: Sequence[tuple[int, int]],
    days: tuple[date, date],
) -> dict[str, _Talk]:
    """Return the completions of these days that have one of the texts at its position."""
    if not places:
        return {}
    span = {"first": days[0], "last": days[1], "source": own["source"]}
    parameters = {**span, "id": own["id"]}
    conditions = []
    for number, (index, text) in enumerate(places):
        parameters |= {f"at_{number}": index, f"text_{number}": text}
        # A reply comes after the inputs, or after the earlier replies.
        comparison = "=" if direction == "input" else ">="
        conditions.append(f"(index {comparison} $at_{number} AND text = $text_{number})")
    sql = _CANDIDATES.format(
        direction=direction, places=" OR ".join(conditions), most=_MOST_CANDIDATES
    )
    ids = [name for _, name in session.ask(sql, parameters)]
    found: dict[str, _Talk] = {}
    if not ids:
        return found
    for day, name, created_us, kind, role, answers, text, calls, head in session.ask(
        _THEIRS, {**span, "ids": ids}
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
        for name, talk in ordered[:_MOST]
    ]
