"""What a run says of fields that it does not know: counted in the ledger, reported once.

The first run that meets a field warns of it. Later ones only count: the lake remembers it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from chatlake.model.manifest import LakeState, format_time
from chatlake.model.new_fields import NewField
from chatlake.model.unknown_fields import FURTHER, MOST

logger = logging.getLogger(__name__)

_NAMED = 3


def counted(
    state: LakeState, source: str, run_id: str, fields: Mapping[str, tuple[int, str]]
) -> list[NewField]:
    """Return what a commit adds to the unknown fields of a source; see `Flush.fields`.

    The lake names at most `MOST` of a source, and counts all others as one.
    """
    now = format_time(datetime.now(UTC))
    known = {field for owner, field in state.new_fields if owner == source}
    entries: dict[str, NewField] = {}
    for name, (number, example) in fields.items():
        is_named = name in known or len(known - {FURTHER}) < MOST
        field = name if is_named else FURTHER
        known.add(field)
        entry = NewField(
            source=source,
            field=field,
            completion_id=example,
            run_id=run_id,
            first_seen_at=now,
            completions=number,
        )
        earlier = entries.get(field)
        entries[field] = entry if earlier is None else earlier.plus(entry)
    return list(entries.values())


def warn_of(news: list[NewField]) -> None:
    """Log one line for the fields that a commit met first."""
    if not news:
        return
    named = ", ".join(f"{each.field} (e.g. in {each.completion_id})" for each in news[:_NAMED])
    more = f" and {len(news) - _NAMED:,} more" if len(news) > _NAMED else ""
    what = "a field that chatlake does" if len(news) == 1 else "fields that chatlake does"
    logger.warning(
        "%s sends %s not know: %s%s. Kept in raw; `chatlake status` counts them",
        news[0].source, what, named, more,
    )  # fmt: skip
