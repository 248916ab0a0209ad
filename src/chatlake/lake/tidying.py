"""Tidying: while nobody writes, a table's folder holds just the files that are listed.

A run tidies at its end, in this order: commit, catalogue, then the files. What it wrote and merged
again before any catalogue showed it goes at once; so does what was forgotten, wherever it lies.
Everything else that is not listed moves below
`replaced/`, where `vacuum` finds it: files that a commit has replaced, and files of killed writers.

A file that has moved lies under one of two names, never under none, and either is put right by the
next run: a listed one moves back when that begins, an unlisted one away when that ends. So the
steps need no record of their own, and may be killed anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chatlake import failpoints
from chatlake.lake.files.replaced import FOLDER, listed_path, replaced_path
from chatlake.model.manifest import LakeState
from chatlake.model.tables import COLUMNS
from chatlake.storage.interface import Storage

_SUFFIX = ".parquet"


def put_back(storage: Storage, state: LakeState) -> None:
    """Move back what is listed and lies below `replaced/` alone; the caller holds the lock.

    A run that lost its lock may have committed a file just when another run moved it away.
    LakeUnwritableError.
    """
    away = {listed_path(file.path): file.path for file in storage.list(FOLDER)}
    listed = away.keys() & state.files.keys()
    storage.move({away[path]: path for path in listed if storage.size(path) is None})


def unlisted_files(storage: Storage, state: LakeState) -> list[str]:
    """Return the Parquet files in the tables' folders that the state does not list."""
    # In a bucket a list of each table costs more.
    return _unlisted((file.path for file in storage.list()), state)


def is_erased(path: str, state: LakeState) -> bool:
    """Say whether a file held what was forgotten since: it goes for good, wherever it lies."""
    return listed_path(path) in state.forgotten.erased


def _unlisted(paths: Iterable[str], state: LakeState) -> list[str]:
    return [
        path
        for path in paths
        if path.endswith(_SUFFIX) and path.partition("/")[0] in COLUMNS and path not in state.files
    ]


def tidy(storage: Storage, state: LakeState, never_shown: Collection[str]) -> None:
    """Clear the tables' folders of what the state does not list; the caller holds the lock.

    `never_shown`: files that no catalogue has shown, and that go. LakeUnwritableError.
    """
    moves: dict[str, str] = {}
    failpoints.reach("tidying.started")
    found = [file.path for file in storage.list()]
    for path in found:
        if is_erased(path, state):
            storage.delete(path)
            failpoints.reach("tidying.erased")
    for path in _unlisted(found, state):
        if is_erased(path, state):
            continue
        if path in never_shown:
            storage.delete(path)
            failpoints.reach("tidying.removed")
        else:
            moves[path] = replaced_path(path)
    storage.move(moves)
    failpoints.reach("tidying.ended")
