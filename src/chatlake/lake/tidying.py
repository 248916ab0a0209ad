"""Tidying: while no run is writing, a table's folder contains exactly the listed files.

A run tidies at its end, in this order: commit, catalogue, then the files. Files that it wrote and
merged again before any catalogue showed them are removed at once, and so are files with forgotten
data, wherever they are. All other unlisted files move below `replaced/`, where `vacuum` finds them:
files that a commit has replaced, and files of killed writers. During a move, a file has one of its
two names, or both, but never none. The next run corrects either: it moves a listed file back when
it starts, and an unlisted one away when it ends. So the steps need no record, and may be killed
anywhere.
"""

from __future__ import annotations

from collections.abc import Collection

from chatlake import failpoints
from chatlake.lake.files.replaced import FOLDER, listed_path, replaced_path
from chatlake.lake.unlisted import in_tables
from chatlake.model.manifest import LakeState
from chatlake.storage.interface import Storage


def put_back(storage: Storage, state: LakeState) -> None:
    """Move back listed files that are only in `replaced/`; the caller holds the lock.

    A run that lost its lock may have committed a file just when another run moved it away.
    LakeUnwritableError.
    """
    away = {listed_path(file.path): file.path for file in storage.list(FOLDER)}
    listed = away.keys() & state.files.keys()
    storage.move({away[path]: path for path in listed if storage.size(path) is None})


def is_erased(path: str, state: LakeState) -> bool:
    """Say whether a file has data that was forgotten later.

    Then it is removed for good, wherever it is.
    """
    return listed_path(path) in state.forgotten.erased


def tidy(storage: Storage, state: LakeState, never_shown: Collection[str]) -> None:
    """Move unlisted files out of the tables' folders; the caller holds the lock.

    `never_shown`: files that no catalogue has shown; they are removed. LakeUnwritableError.
    """
    moves: dict[str, str] = {}
    failpoints.reach("tidying.started")
    found = [file.path for file in storage.list()]
    for path in found:
        if is_erased(path, state):
            storage.delete(path)
            failpoints.reach("tidying.erased")
    for path in in_tables(found, state):
        if is_erased(path, state):
            continue
        if path in never_shown:
            storage.delete(path)
            failpoints.reach("tidying.removed")
        else:
            moves[path] = replaced_path(path)
    storage.move(moves)
    failpoints.reach("tidying.ended")
