"""Selects what to forget, and forgets it under the lake's lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chatlake.backup.report import new_run_id
from chatlake.bootstrap.sources import keep_after
from chatlake.bootstrap.sparing_memory import sparing_memory
from chatlake.config.durations import format_duration
from chatlake.errors import CommitConflictError, LakeUnwritableError, NotInLakeError
from chatlake.exports.selection import reading, selected
from chatlake.lake.catalog.views import quoted
from chatlake.lake.forgetting import forget, left_to_erase
from chatlake.lake.forgetting_days import forget_days
from chatlake.lake.lake import Lake
from chatlake.lake.manifests import read_head
from chatlake.model.counts import count
from chatlake.model.forgotten import RECEIPTS, Forgetting
from chatlake.model.partitions import Partition

_ATTEMPTS = 3
# A lost file may have left rows of a completion that has lost its own row.
_OF_IDS = """
SELECT DISTINCT source, created_date::VARCHAR, completion_id
FROM (
    SELECT source, created_date, completion_id FROM completions
    UNION ALL SELECT source, created_date, completion_id FROM messages
    UNION ALL SELECT source, created_date, completion_id FROM content_parts
    UNION ALL SELECT source, created_date, completion_id FROM completion_history
)
WHERE completion_id IN (SELECT unnest($ids))
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to forget: exactly one of `ids`, `metadata` and `where` is given.

    `metadata`: for each key the values of which the completion must have one. `where`: a condition
    on the view `completions`. `source`: only from this one.
    """

    ids: tuple[str, ...] = ()
    metadata: Mapping[str, Sequence[str]] = field(default_factory=dict)
    where: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was forgotten: the receipt, its path in the lake, and the fingerprint after it."""

    receipt: Forgetting
    path: str
    commit: int
    fingerprint: str


def select(lake: Lake, choice: Choice) -> dict[Partition, list[str]]:
    """Return what the lake has of the choice. SqlError for a bad condition; LakeDamagedError.

    NotInLakeError if the lake lacks any of the ids; it names the first one.
    """
    sources = None if choice.source is None else [choice.source]
    if choice.ids:
        with closing(lake.connect()) as connection, reading(lake):
            rows = connection.execute(_OF_IDS, {"ids": list(choice.ids)}).fetchall()
        rows = [row for row in rows if choice.source in (None, row[0])]
        if unknown := [each for each in choice.ids if each not in {row[2] for row in rows}]:
            more = f" and {len(unknown) - 1:,} more" if unknown[1:] else ""
            raise NotInLakeError(f"The lake has no completion {unknown[0]}{more}")
    else:
        where = choice.where or _metadata_condition(choice.metadata)
        with selected(lake, where=where, sources=sources) as connection, reading(lake):
            sql = "SELECT source, created_date::VARCHAR, completion_id FROM selected"
            rows = connection.execute(sql).fetchall()
    found: dict[Partition, list[str]] = {}
    for source, day, completion_id in sorted(rows):
        found.setdefault(Partition(source, day), []).append(completion_id)
    return found


def forget_choice(lake: Lake, choice: Choice, *, reason: str) -> ForgetReport | None:
    """Forget what the lake has of the choice by now; None if that is nothing.

    LakeLockedError; LakeDamagedError, and nothing changed, if a file of it is damaged;
    LakeUnwritableError, also if all is committed but files are left that could not be removed;
    the errors of `select`.
    """
    run_id = new_run_id()
    with lake.lock(run_id), sparing_memory():
        receipt = _despite_conflicts(
            lake, lambda: forget(lake, select(lake, choice), run_id=run_id, reason=reason)
        )
    return None if receipt is None else _finished(lake, receipt)


def expired(keep: timedelta) -> Choice:
    """Return the choice of the completions that are older than `keep`, by whole UTC days."""
    day = datetime.fromtimestamp(keep_after(keep), UTC).date()
    return Choice(where=f"created_date < DATE '{day}' AND created_at IS NOT NULL")


def forget_expired(lake: Lake, keep: timedelta) -> ForgetReport | None:
    """Forget the days that are older than `keep`; None if there are none.

    LakeLockedError and LakeUnwritableError as for `forget_choice`. No data file is read, so damaged
    ones go, too.
    """
    run_id, before = new_run_id(), keep_after(keep)
    reason = f"older than keep: {format_duration(keep)}"
    with lake.lock(run_id):
        receipt = _despite_conflicts(
            lake, lambda: forget_days(lake, before, run_id=run_id, reason=reason)
        )
    return None if receipt is None else _finished(lake, receipt)


def _despite_conflicts(lake: Lake, work: Callable[[], Forgetting | None]) -> Forgetting | None:
    """Repeat the work if a run that has lost its lock committed first."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            return work()
        except CommitConflictError:
            if not left:
                raise
            lake.refresh()
    raise AssertionError("unreachable")


def write_receipts(lake: Lake) -> None:
    """Write each receipt that does not exist yet, including one that a killed run did not write."""
    for number, receipt in enumerate(lake.state.forgotten.receipts, 1):
        path = receipt_path(number)
        if lake.storage.size(path) is None:
            document = {
                "at": receipt.at,
                "run_id": receipt.run_id,
                "reason": receipt.reason,
                "erased": {
                    "completions": receipt.completions,
                    "messages": receipt.messages,
                    "content_parts": receipt.content_parts,
                    "images": receipt.images,
                    "versions": receipt.versions,
                    "files": len(receipt.erased),
                },
                "completion_hashes": list(receipt.hashes),
                "hash": "BLAKE2b, 16 bytes, of source, NUL and completion id, with the lake's key",
                "files": list(receipt.erased),
            }
            lake.storage.create(path, (json.dumps(document, indent=2) + "\n").encode())


def receipt_path(number: int) -> str:
    """Return where the lake keeps a receipt; they are numbered from 1."""
    return f"{RECEIPTS}/forget-{number:06}.json"


def _finished(lake: Lake, receipt: Forgetting) -> ForgetReport:
    if left := left_to_erase(lake):
        raise LakeUnwritableError(
            f"could not remove {count(len(left), 'file')} with forgotten data: {left[0]}"
            + (" …" if left[1:] else ""),
            hint="The views no longer show it. Allow this user to remove files, and run "
            "`chatlake vacuum`: that removes them.",
        )
    write_receipts(lake)
    head = read_head(lake.storage, lake.state.number)
    path = receipt_path(len(lake.state.forgotten.receipts))
    number, fingerprint = (0, "") if head is None else (head.number, head.fingerprint)
    return ForgetReport(receipt, f"{lake.location}/{path}", number, fingerprint)


def _metadata_condition(metadata: Mapping[str, Sequence[str]]) -> str:
    return " AND ".join(
        f"metadata[{quoted(key)}] IN ({', '.join(map(quoted, values))})"
        for key, values in metadata.items()
    )
