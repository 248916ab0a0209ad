"""Healing: when listed files are missing, fetch again what the source still has.

A separate commit removes from the list every file that is missing or has another size than its
manifest says. Rows that lost a part of their data are marked as incomplete (no digest). So this
run, or the next one if this one is killed, fetches them again. If the source no longer has them,
they stay as they are.
"""

from __future__ import annotations

import logging

from chatlake.backup.lake_port import LakeStore
from chatlake.backup.rows import columns_of
from chatlake.model.manifest import Cursor, Manifest, PartFile, SourceRun
from chatlake.model.partitions import Partition
from chatlake.model.tables import (
    COLUMNS,
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
)

logger = logging.getLogger(__name__)

_IN_THE_LAKE_ALONE = {HISTORY, MESSAGE_HISTORY}
_FETCHED_WITH_MESSAGES = {MESSAGES, CONTENT_PARTS, IMAGES}


def heal(lake: LakeStore, run: SourceRun, now: int) -> None:
    """Take the source's missing files off the list, in a commit; count them in `run.healed_files`.

    `now`: microseconds since 1970. If nothing is missing, nothing is committed.
    """
    lost = [file for file in lake.missing_files() if file.source == run.source]
    if not lost:
        return
    manifest = Manifest(
        run_id=run.run_id,
        removed=[file.path for file in lost],
        cursors={run.source: Cursor("", 0, "")},  # everything is listed again
        runs=[run],
    )
    for file in lost:
        logger.warning(
            "%s is missing or incomplete: %s",
            file.path,
            "the earlier versions in it are lost, unless a copy of the lake has the file"
            if file.table in _IN_THE_LAKE_ALONE
            else f"what the source has of {file.source} {file.created_date} will be fetched again",
        )
    by_partition: dict[Partition, list[PartFile]] = {}
    for file in lost:
        by_partition.setdefault(file.partition, []).append(file)
    for partition, files in by_partition.items():
        tables = {file.table for file in files}
        gone = {file.path for file in files}
        if tables & _FETCHED_WITH_MESSAGES:
            added, removed = lake.forget_digests(partition, without=gone)
            manifest.added += added
            manifest.removed += removed
        if COMPLETIONS in tables:
            manifest.added += _stand_ins(lake, partition, gone, run.run_id, now)
    run.healed_files += len(lost)
    lake.commit(manifest)


def _stand_ins(
    lake: LakeStore, partition: Partition, gone: set[str], run_id: str, now: int
) -> list[PartFile]:
    """Write a bare row for each completion that has lost its own row but has others left."""
    orphans = lake.rows_without_completion(partition, without=gone)
    if not orphans:
        return []
    rows = []
    for completion_id, created_at in sorted(orphans.items()):
        known = {
            "completion_id": completion_id,
            "created_at": created_at,
            "first_seen_at": now,
            "synced_at": now,
            "run_id": run_id,
        }
        rows.append(tuple(known.get(column) for column in COLUMNS[COMPLETIONS]))
    return lake.write_parts({(COMPLETIONS, partition): columns_of(COMPLETIONS, rows)})
