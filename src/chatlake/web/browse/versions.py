"""The versions of a completion that backups saw, and what differs from one to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatlake.model.counts import count
from chatlake.web.browse.catalogue import Session
from chatlake.web.shown import visible

MOST: Final = 50
"""The most versions that the page of a completion lists."""
_MOST_CHANGES: Final = 12
_LONGEST: Final = 80
_LARGEST: Final = 200_000
_VERSIONS: Final = f"""
SELECT epoch_us(observed_at), change,
    CASE WHEN length(raw::VARCHAR) <= {_LARGEST} THEN raw::VARCHAR END
FROM completion_history
WHERE completion_id = $id AND source = $source AND created_date = $day
ORDER BY observed_at DESC, change DESC
LIMIT {{most}}
"""  # noqa: S608 - of constants
_COUNTS: Final = """
SELECT count(*), count(*) FILTER (change <> 'deleted')
FROM completion_history
WHERE completion_id = $id AND source = $source AND created_date = $day
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs from the previous version; None if it is missing."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """When a backup first saw a version, and the `change`: created, changed or deleted.

    `number`: of a version that a later one replaced, from 1, the oldest; else None. `uncompared`:
    what of its changes the page does not show, as a sentence; else empty.
    """

    observed_us: int | None
    change: str
    changes: list[Change]
    number: int | None = None
    uncompared: str = ""


def versions_of(
    session: Session, key: dict[str, Any], facts: dict[str, Any]
) -> tuple[list[Version], int]:
    """Return the newest versions of a completion, oldest first, and how many older ones there are.

    `facts` are the completion's columns.
    """
    if facts["first_seen_us"] == facts["synced_us"]:  # stored once: nothing lies in the history
        deleted = facts["deleted_us"]
        only = Version(facts["first_seen_us"], "created", [])
        versions = [only] if deleted is None else [only, Version(deleted, "deleted", [])]
        return versions, 0
    # One more than is shown: the oldest shown version is compared with the one before it.
    rows = session.ask(_VERSIONS.format(most=MOST + 1), key)[::-1]
    stored = sum(change != "deleted" for _, change, _ in rows)
    if len(rows) <= MOST:
        return list(_compared(rows, 0, stored)), 0
    ((all_rows, all_stored),) = session.ask(_COUNTS, key)
    return list(_compared(rows, all_stored - stored, all_stored))[1:], all_rows - MOST


def _compared(
    rows: Sequence[tuple[int | None, str, str | None]], number: int, stored: int
) -> Iterator[Version]:
    """Yield each row as a version; `number`: of the last version before them, `stored`: of all."""
    for place, (observed_us, change, raw) in enumerate(rows):
        changes: list[Change] = []
        uncompared = ""
        if place and change != "deleted":
            changes, uncompared = _changes(rows[place - 1][2], raw)
        number += change != "deleted"
        is_replaced = change != "deleted" and number < stored
        yield Version(observed_us, change, changes, number if is_replaced else None, uncompared)


def _changes(before: str | None, after: str | None) -> tuple[list[Change], str]:
    """Return the first changes between two versions, and a sentence if there may be others."""
    if before is None or after is None:
        return [], "Too large to be compared with the previous version here."
    try:
        old, new = (dict(_leaves(json.loads(text))) for text in (before, after))
    except (ValueError, RecursionError):
        return [], "Too deep to be compared with the previous version here."
    paths = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    changes = [_change(path, old.get(path), new.get(path)) for path in paths[:_MOST_CHANGES]]
    more = len(paths) - len(changes)
    return changes, f"{count(more, 'more change')} not shown." if more else ""


def _change(path: str, before: str | None, after: str | None) -> Change:
    """Return a change whose texts begin shortly before they differ, if that is far inside."""
    old, new = before or "", after or ""
    differ = (n for n, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
    same = next(differ, min(len(old), len(new)))
    start = 0 if same < _LONGEST // 2 else same - _LONGEST // 4
    return Change(visible(path), _cut(before, start), _cut(after, start))


def _cut(text: str | None, start: int) -> str | None:
    if text is None:
        return None
    end = start + _LONGEST
    return visible(("…" if start else "") + text[start:end] + ("…" if len(text) > end else ""))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)
