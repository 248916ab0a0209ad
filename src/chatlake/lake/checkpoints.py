"""Checkpoints: the whole state of a lake after some commits, so that opening reads few manifests.

They repeat what the manifests say. So a missing one can be written again, and is never guessed.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from chatlake.errors import LakeDamagedError
from chatlake.lake.manifests import checkpoint_path, manifest_path, numbers
from chatlake.lake.sealed import read_document, seal
from chatlake.model.manifest import (
    CHECKPOINT_EVERY,
    Checkpoint,
    LakeState,
    Manifest,
    format_time,
)
from chatlake.storage.interface import Storage


def ensure_checkpoint(storage: Storage, state: LakeState, *, chatlake: str) -> None:
    """Write the checkpoint of `state` if one belongs after its commit and there is none yet."""
    if state.number % CHECKPOINT_EVERY or not state.number:
        return
    if storage.size(checkpoint_path(state.number)) is None:
        create_checkpoint(storage, state, chatlake=chatlake)


def create_checkpoint(storage: Storage, state: LakeState, *, chatlake: str) -> None:
    """Write the checkpoint of `state` after whichever commit it is, unless there is one."""
    checkpoint = state.checkpoint(created_at=format_time(datetime.now(UTC)), chatlake=chatlake)
    storage.create(checkpoint_path(state.number), seal(msgspec.json.encode(checkpoint)))


def checkpoint_numbers(storage: Storage) -> set[int]:
    """Return the commits after which there is a checkpoint."""
    return numbers(storage)[1]


def restore_checkpoints(storage: Storage, *, newest: int, chatlake: str) -> None:
    """Write each missing checkpoint up to commit `newest`, if the commits for it still exist.

    It may be missing because a run was killed before it, or because it was removed.
    """
    _, checkpoints = numbers(storage)
    lost = set(range(CHECKPOINT_EVERY, newest + 1, CHECKPOINT_EVERY)) - checkpoints
    state: LakeState | None = LakeState()
    for number in range(1, max(lost, default=0) + 1):
        state = _advanced(storage, state, number, has_checkpoint=number in checkpoints)
        if state is not None and number in lost:
            ensure_checkpoint(storage, state, chatlake=chatlake)


def _advanced(
    storage: Storage, state: LakeState | None, number: int, *, has_checkpoint: bool
) -> LakeState | None:
    """Return the state after commit `number`; None if neither commits nor a checkpoint show it."""
    if state is not None:
        with suppress(LakeDamagedError):
            state.apply(read_document(storage, manifest_path(number), Manifest, number))
            return state
    if has_checkpoint:
        with suppress(LakeDamagedError):
            path = checkpoint_path(number)
            return LakeState.from_checkpoint(read_document(storage, path, Checkpoint, number))
    return None
