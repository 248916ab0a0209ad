"""What a list shows of each conversation: the question, the reply, or where the words were found.

Only the beginning of a text, or the text around the hit, leaves DuckDB: a message may have
megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatlake.lake.catalog.search import Ask, ListRow
from chatlake.lake.catalog.search_query import Place, pattern

SHOWN: Final = 280
"""Characters of an excerpt, at most."""
_LEAD: Final = 70  # characters before a hit


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some text of one message: `role` wrote it. `cut_before`, `cut_after`: there is more."""

    role: str
    text: str
    cut_before: bool = False
    cut_after: bool = False

    def pieces(self, words: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Yield the text in pieces, and whether each is one of the words."""
        if not words:
            yield self.text, False
            return
        found = re.split(f"({'|'.join(map(pattern, words))})", self.text, flags=re.IGNORECASE)
        yield from ((piece, number % 2 == 1) for number, piece in enumerate(found) if piece)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of a conversation; missing values are None.

    `question`: the user's last words. `reply`: what the first choice says. `called`: names of the
    tools that the replies call. `hit`: the text around what was searched for.
    """

    question: Excerpt | None = None
    reply: Excerpt | None = None
    hit: Excerpt | None = None
    called: tuple[str, ...] = ()
    is_refused: bool = False
    is_changed: bool = False


def summaries(ask: Ask, rows: Sequence[ListRow], words: Sequence[str]) -> dict[Place, Summary]:
    """Return the summary of each row, by the row's place."""
    if not rows:
        return {}
    span = {"first": min(row.day for row in rows), "last": max(row.day for row in rows)}
    parameters = {**span, "ids": [row.completion_id for row in rows]}
    within = "created_date BETWEEN $first AND $last AND completion_id IN (SELECT unnest($ids))"
    times = [row.created_us for row in rows if row.created_us is not None]
    if len(times) == len(rows):  # lets DuckDB skip the rest of a day
        parameters |= {"from_us": min(times), "to_us": max(times)}
        within += " AND created_at BETWEEN make_timestamptz($from_us) AND make_timestamptz($to_us)"
    said = {
        (source, name): values
        for source, name, *values in ask(_SAID.format(within=within, shown=SHOWN + 1), parameters)
    }
    # Ids that the text names let DuckDB skip row groups by their bloom filters.
    ids = {f"id_{number}": row.completion_id for number, row in enumerate(rows)}
    changed = set(ask(_CHANGED.format(ids=", ".join(f"${name}" for name in ids)), {**ids, **span}))
    hits = _hits(ask, rows, words, within, parameters)
    found = {}
    for row in rows:
        key = (row.source, row.completion_id)
        question, reply, refusal, role, called = said.get(key, (None, None, None, None, None))
        found[row.place] = Summary(
            question=_beginning("user", question),
            reply=_beginning(role or "assistant", reply or refusal),
            hit=hits.get(key),
            called=tuple(dict.fromkeys(name for name in called or () if name is not None)),
            is_refused=refusal is not None,
            is_changed=key in changed,
        )
    return found


_SAID: Final = """
SELECT source, completion_id,
    arg_max(left(text, {shown}), message_index) FILTER (direction = 'input' AND role = 'user'),
    arg_min(left(text, {shown}), message_index) FILTER (direction = 'output'),
    arg_min(left(refusal, {shown}), message_index) FILTER (direction = 'output'),
    arg_min(role, message_index) FILTER (direction = 'output'),
    flatten(list(list_concat(
        json_extract_string(tool_calls, '$[*].function.name'),
        json_extract_string(tool_calls, '$[*].custom.name')
    )) FILTER (direction = 'output' AND tool_calls IS NOT NULL))
FROM messages
WHERE {within}
GROUP BY ALL
"""
_CHANGED: Final = """
SELECT DISTINCT source, completion_id
FROM completion_history
WHERE change = 'changed' AND created_date BETWEEN $first AND $last AND completion_id IN ({ids})
"""
# `lower` may change the length of a text, so the place is near the hit, not exact.
_AROUND: Final = """
WITH found AS (
    SELECT source, completion_id, role, hay,
        greatest(1, strpos(lower(hay), $word) - {lead}) AS begins
    FROM (
        SELECT *,
            CASE
                WHEN regexp_matches(text, $pattern, 'i') THEN text
                WHEN regexp_matches(refusal, $pattern, 'i') THEN refusal
                ELSE coalesce(tool_calls::VARCHAR, text, refusal)
            END AS hay
        FROM messages
        SEMI JOIN (SELECT unnest($ids) AS completion_id, unnest($hits) AS message_index) AS hits
            USING (completion_id, message_index)
        WHERE {within}
    )
)
SELECT source, completion_id, coalesce(role, 'unknown'), substring(hay, begins, {shown}),
    begins > 1, length(hay) >= begins + {shown}
FROM found
"""


def _hits(
    ask: Ask, rows: Sequence[ListRow], words: Sequence[str], within: str, parameters: dict[str, Any]
) -> dict[tuple[str, str], Excerpt]:
    if not words:
        return {}
    more = {
        "hits": [row.hit for row in rows],
        "word": words[0].lower(),
        "pattern": pattern(words[0]),
    }
    sql = _AROUND.format(within=within, lead=_LEAD, shown=SHOWN)
    return {
        (source, name): Excerpt(role, " ".join(text.split()), before, after)
        for source, name, role, text, before, after in ask(sql, parameters | more)
        if text is not None
    }


def _beginning(role: str, text: str | None) -> Excerpt | None:
    if not text or not text.strip():
        return None
    return Excerpt(role, " ".join(text[:SHOWN].split()), cut_after=len(text) > SHOWN)
