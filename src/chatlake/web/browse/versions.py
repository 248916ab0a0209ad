"""The versions of a completion that backups saw, and what differs from one to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
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
    """When a backup first saw a version, and the `change`: created, changed or deleted."""

    observed_us: int | None
    change: str
    changes: list[Change]


def versions_of(session: Session, completion_id: str, source: str, day: date) -> list[Version]:
    """Return the versions, oldest first."""
    versions = []
    before: str | None = None
    rows = session.ask(_VERSIONS, {"id": completion_id, "source": source, "day": day})
    for observed_us, change, raw in rows:
        changes = [] if before is None or raw is None else _changes(before, raw)
        versions.append(Version(observed_us, change, changes))
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
