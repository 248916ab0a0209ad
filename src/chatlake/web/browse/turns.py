"""The earlier and later turns of a conversation.

An application sends the whole conversation again with each question. So a later turn is a
completion whose inputs begin with the inputs and the reply of this one. The days before and after
are searched too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from chatlake.web.browse.catalogue import Session
from chatlake.web.shown import visible

_DAYS: Final = timedelta(days=1)
_MOST: Final = 20
_HEAD: Final = 120
# Texts are compared by their hash: one may have megabytes.
_OWN: Final = """
SELECT message_index, direction, role, tool_call_id, md5(coalesce(text, '')),
    text IS NULL, json_extract_string(tool_calls, '$[*].id')
FROM messages
WHERE created_date = $day AND source = $source AND completion_id = $id
ORDER BY message_index
"""
_CANDIDATES: Final = """
SELECT DISTINCT created_date, completion_id
FROM messages
WHERE created_date BETWEEN $first AND $last AND source = $source AND completion_id <> $id
    AND direction = '{direction}' AND role = 'assistant' AND ({places})
LIMIT 200
"""
_THEIRS: Final = """
SELECT created_date, completion_id, epoch_us(created_at), message_index, direction, role,
    tool_call_id, md5(coalesce(text, '')), json_extract_string(tool_calls, '$[*].id'),
    CASE WHEN role = 'user' THEN left(text, {head}) END
FROM messages
WHERE created_date BETWEEN $first AND $last AND source = $source
    AND completion_id IN (SELECT unnest($ids))
ORDER BY ALL
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
    inputs: list[tuple[str | None, str, str | None]]
    replies: list[tuple[str, tuple[str, ...]]]
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


def turns_around(
    session: Session, source: str, day: date, completion_id: str
) -> tuple[list[Turn], list[Turn]]:
    """Return the earlier and the later turns, each in the order of time."""
    parameters = {"source": source, "day": day, "id": completion_id}
    own = _Talk(day, None, [], [])
    places: list[tuple[int, str]] = []
    for index, direction, role, call_id, text, _, calls in session.ask(_OWN, parameters):
        if direction == "output":
            own.replies.append((text, tuple(calls or ())))
            continue
        own.inputs.append((role, text, call_id))
        if role == "assistant" and index:
            places.append((index, text))
    if not own.inputs:
        return [], []
    replies = list({(len(own.inputs), text) for text, _ in own.replies})
    before = _talks(session, parameters, "output", places[-8:], (day - _DAYS, day))
    after = _talks(session, parameters, "input", replies, (day, day + _DAYS))
    earlier = {name: talk for name, talk in before.items() if talk.goes_on_as(own)}
    later = {name: talk for name, talk in after.items() if own.goes_on_as(talk)}
    return _turns(source, earlier), _turns(source, later)


def _talks(
    session: Session,
    own: dict[str, Any],
    direction: str,
    places: Sequence[tuple[int, str]],
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
        conditions.append(
            f"(message_index {comparison} $at_{number} "
            f"AND md5(coalesce(text, '')) = $text_{number})"
        )
    sql = _CANDIDATES.format(direction=direction, places=" OR ".join(conditions))
    ids = [name for _, name in session.ask(sql, parameters)]
    found: dict[str, _Talk] = {}
    if not ids:
        return found
    for day, name, created_us, _, kind, role, call_id, text, calls, said in session.ask(
        _THEIRS.format(head=_HEAD), {**span, "ids": ids}
    ):
        talk = found.setdefault(name, _Talk(day, created_us, [], []))
        if kind == "output":
            talk.replies.append((text, tuple(calls or ())))
        else:
            talk.inputs.append((role, text, call_id))
            talk.said = said or talk.said
    return found


def _turns(source: str, talks: dict[str, _Talk]) -> list[Turn]:
    ordered = sorted(talks.items(), key=lambda entry: (entry[1].created_us or 0, entry[0]))
    return [
        Turn(source, talk.day, name, talk.created_us, visible(" ".join(talk.said.split())))
        for name, talk in ordered[:_MOST]
    ]
