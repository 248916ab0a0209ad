"""Runs compaction and vacuum, each alone under the lake's lock."""

from __future__ import annotations

from datetime import timedelta

from chatlake.backup.report import new_run_id
from chatlake.bootstrap.sparing_memory import sparing_memory
from chatlake.lake.compacting import CompactionReport, Progress, compact
from chatlake.lake.lake import Lake
from chatlake.lake.vacuum import Unlisted, find_unlisted, remove
from chatlake.storage.interface import StoredFile


def compact_lake(lake: Lake, progress: Progress | None = None) -> CompactionReport:
    """Merge all small files of a lake. LakeLockedError, LakeUnwritableError."""
    run_id = new_run_id()
    with lake.lock(run_id), sparing_memory():
        return compact(lake, run_id, progress=progress)


def unlisted_now(lake: Lake, older_than: timedelta) -> Unlisted:
    """Return what a vacuum would remove and keep. LakeDamagedError."""
    return find_unlisted(lake, older_than, lake.storage.now())


def tidy_lake(lake: Lake) -> None:
    """Move unlisted files out of the tables' folders, as every writer does at its end.

    LakeLockedError, LakeUnwritableError.
    """
    with lake.lock(new_run_id()):
        pass


def vacuum_lake(lake: Lake, older_than: timedelta) -> tuple[list[StoredFile], Unlisted]:
    """Remove what `unlisted_now` finds; return what was removed, and what was found.

    Looks again under the lock, since a run may have ended in the meantime. LakeLockedError,
    LakeDamagedError, LakeUnwritableError.
    """
    with lake.lock(new_run_id()):
        found = unlisted_now(lake, older_than)
        return remove(lake.storage, found.removable), found
