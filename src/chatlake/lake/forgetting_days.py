"""Forgetting whole days, as `keep` asks for: their files go unread, and no id is remembered.

Like a forgetting of completions (`forgetting`) it is one commit with a receipt, and the files go
when the lock is given back. Stopped before the commit it has changed nothing; stopped after it, the
next writer completes it.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from chatlake import failpoints
from chatlake.lake.files.replaced import listed_path
from chatlake.lake.lake import Lake
from chatlake.lake.unlisted import by_partition
from chatlake.model.forgotten import Forgetting
from chatlake.model.manifest import Manifest, format_time
from chatlake.model.partitions import Partition
from chatlake.model.tables import (
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
)


def forget_days(lake: Lake, before: int, *, run_id: str, reason: str = "") -> Forgetting | None:
    """Erase every day that ended before a moment (UTC seconds), and return the receipt.

    None if the lake has nothing that old. All files of such a day go, whatever is in them, and so
    nothing of them is read: damaged ones go too. Completions without a time stay. The ids are not
    kept: backups leave out by age what they would fetch again. The caller holds the lock; when it
    is given back, the files are gone. LakeUnwritableError.
    """

    def is_past(partition: Partition) -> bool:
        return not partition.is_timeless and partition.end <= before

    files = [file for file in lake.state.files.values() if is_past(file.partition)]
    erased = [
        listed_path(file.path)
        for partition, found in by_partition(lake.storage, lake.state).items()
        for file in found
        if is_past(partition)
    ]
    if not files and not set(erased) - lake.state.forgotten.erased:
        return None
    rows: Counter[str] = Counter()
    for file in files:
        rows[file.table] += file.rows
    receipt = Forgetting(
        at=format_time(datetime.now(UTC)),
        run_id=run_id,
        reason=reason,
        completions=rows[COMPLETIONS],
        messages=rows[MESSAGES],
        content_parts=rows[CONTENT_PARTS],
        images=rows[IMAGES],
        versions=rows[HISTORY] + rows[MESSAGE_HISTORY],
        erased=[*(file.path for file in files), *erased],
    )
    failures = lake.state.failures.items()
    lake.commit(
        Manifest(
            run_id=run_id,
            removed=[file.path for file in files],
            resolved=sorted(
                key for key, each in failures if each.created is not None and each.created < before
            ),
            forgotten=[receipt],
        )
    )
    failpoints.reach("forget.committed")
    return receipt
