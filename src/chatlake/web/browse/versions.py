"""The versions of a completion that backups saw, and what differs from one to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chatlake.web.browse.catalogue import Session
from chatlake.web.shown import visible

_MOST: Final = 50
_MOST_CHANGES: Final = 12
_LONGEST: Final = 80
_LARGEST: Final = 200_000
_VERSIONS: Final = f"""
SELECT epoch_us(observed_at), change,
    CASE WHEN length(raw::VARCHAR) <= {_LARGEST} THEN raw::VARCHAR END
FROM completion_history
WHERE completion_id = $id AND source = $source AND created_date = $day
ORDER BY observed_at, change
LIMIT {_MOST}
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs from the previous version; None if it is missing."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """When a backup first saw a version, and the `change`: created, changed or deleted.

    `number`: of a version that a later one replaced, from 1, the oldest; else None.
    """

    observed_us: int | None
    change: str
    changes: list[Change]
    number: int | None = None


def versions_of(session: Session, key: dict[str, Any], facts: dict[str, Any]) -> list[Version]:
    """Return the versions of a completion, oldest first; `facts` are its columns."""
    if facts["first_seen_us"] == facts["synced_us"]:  # stored once: nothing lies in the history
        deleted = facts["deleted_us"]
        only = Version(facts["first_seen_us"], "created", [])
        return [only] if deleted is None else [only, Version(deleted, "deleted", [])]
    versions = []
    before: str | None = None
    rows = session.ask(_VERSIONS, key)
    stored = sum(change != "deleted" for _, change, _ in rows)
    number = 0
    for observed_us, change, raw in rows:
        changes = [] if before is None or raw is None else _changes(before, raw)
        number += change != "deleted"
        is_replaced = change != "deleted" and number < stored
        versions.append(Version(observed_us, change, changes, number if is_replaced else None))
        before = raw
    return versions


def _changes(before: str, after: str) -> list[Change]:
    try:
        old, new = (dict(_leaves(json.loads(text))) for text in (before, after))
    except (ValueError, RecursionError):
        return []
    paths = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    return [Change(path, old.get(path), new.get(path)) for path in paths[:_MOST_CHANGES]]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        yield visible(path), visible(text[:_LONGEST] + ("…" if len(text) > _LONGEST else ""))
