"""Manifests on the storage: numbered commits, each created only if absent, and their checkpoints.

    manifests/000000000001.json              what commit 1 added and removed
    manifests/checkpoint-000000000032.json   the whole state after commit 32

Every file is one JSON object that begins with the SHA-256 of the rest of its text, so a changed
byte is noticed when the lake is opened. Opening reads the newest checkpoint and the commits after
it.

Each manifest also has the SHA-256 of the file before it. So the hash of the newest one stands for
every commit up to it: a copy of that hash, kept elsewhere, proves that none of them was rewritten.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from chatlake.errors import CommitConflictError, LakeDamagedError
from chatlake.lake.sealed import read_document, seal, unseal
from chatlake.model.manifest import (
    Checkpoint,
    LakeState,
    Manifest,
    parse_time,
)
from chatlake.storage.interface import Storage

FOLDER: Final = "manifests"
_NAME: Final = re.compile(rf"{FOLDER}/(checkpoint-)?(\d{{12}})\.json")
FINGERPRINT_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Head:
    """The newest commit: its number, the SHA-256 (hex) of its file, and when it was made."""

    number: int
    sha256: str
    created_at: datetime | None

    @property
    def fingerprint(self) -> str:
        """The first digits of the SHA-256, short enough to be noted on paper."""
        return self.sha256[:FINGERPRINT_DIGITS]


def manifest_path(number: int) -> str:
    """Return the path of commit `number`."""
    return f"{FOLDER}/{number:012}.json"


def checkpoint_path(number: int) -> str:
    """Return the path of the checkpoint after commit `number`."""
    return f"{FOLDER}/checkpoint-{number:012}.json"


def load_state(storage: Storage) -> LakeState:
    """Return what the newest manifest lists.

    LakeDamagedError names the file that is missing, truncated or altered; LakeFormatError if a
    newer chatlake wrote it. A damaged checkpoint does no harm as long as older files have the same
    content.
    """
    commits, checkpoints = numbers(storage)
    damage: LakeDamagedError | None = None
    state = LakeState()
    for number in sorted(checkpoints, reverse=True):
        try:
            state = LakeState.from_checkpoint(
                read_document(storage, checkpoint_path(number), Checkpoint, number)
            )
            break
        except LakeDamagedError as error:
            damage = damage or error
    newest = max(commits.keys() | checkpoints, default=0)
    if damage is not None and not commits.keys() >= set(range(state.number + 1, newest + 1)):
        raise damage
    _apply_until(storage, state, newest)
    return state


def refresh_state(storage: Storage, state: LakeState) -> bool:
    """Apply the commits after the state's own; return whether there were any.

    LakeDamagedError, LakeFormatError (see `load_state`).
    """
    commits, checkpoints = numbers(storage)
    newest = max(commits.keys() | checkpoints, default=0)
    before = state.number
    _apply_until(storage, state, newest)
    return state.number > before


def read_head(storage: Storage, number: int) -> Head | None:
    """Return commit `number`; None for a lake without commits.

    If its manifest is gone, the checkpoint is used. LakeDamagedError.
    """
    if not number:
        return None
    path = manifest_path(number)
    try:
        text = storage.read(path)
        made_at = unseal(text, f"{storage.location}/{path}", Manifest).created_at
    except FileNotFoundError:
        path = checkpoint_path(number)
        try:
            text = storage.read(path)
        except FileNotFoundError as error:
            place = f"{storage.location}/{manifest_path(number)}"
            raise LakeDamagedError(f"{place} is missing") from error
        made_at = unseal(text, f"{storage.location}/{path}", Checkpoint).created_at
    at = parse_time(made_at) if made_at else None
    return Head(number, hashlib.sha256(text).hexdigest(), at)


def append_commit(storage: Storage, manifest: Manifest) -> Manifest:
    """Write commit `manifest.number`; return it as others will read it.

    CommitConflictError, and nothing changed, if that number is taken; LakeDamagedError if the
    commit before it is gone, because the new one would be useless.
    """
    manifest.previous = _sha256_of(storage, manifest.number - 1)
    text = seal(msgspec.json.encode(manifest))
    path = manifest_path(manifest.number)
    if not storage.create(path, text):
        raise CommitConflictError(f"Another run committed {storage.location}/{path} first")
    return unseal(text, f"{storage.location}/{path}", Manifest)


def _sha256_of(storage: Storage, number: int) -> str:
    """Return the SHA-256 of the file of a commit, or of its checkpoint where that file has gone."""
    if not number:
        return ""
    for path in (manifest_path(number), checkpoint_path(number)):
        with suppress(FileNotFoundError):
            return hashlib.sha256(storage.read(path)).hexdigest()
    place = f"{storage.location}/{manifest_path(number)}"
    raise LakeDamagedError(f"{place} was removed while this run was writing")


def state_at(storage: Storage, number: int) -> LakeState:
    """Return what commit `number` listed, from the manifests. LakeDamagedError."""
    state = LakeState()
    _apply_until(storage, state, number)
    return state


def removed_since(storage: Storage, moment: datetime) -> set[str]:
    """Return the paths that commits since `moment` have removed: older states may list them.

    A commit's own time and its file's time both count, so one wrong clock hides none.
    LakeDamagedError if a manifest that may list one is missing or altered.
    """
    commits, checkpoints = numbers(storage)
    newest = max(commits.keys() | checkpoints, default=0)
    recent = (number for number, modified_at in commits.items() if modified_at >= moment)
    oldest = min(recent, default=newest + 1)
    removed: set[str] = set()
    for number in range(newest, 0, -1):
        manifest = read_document(storage, manifest_path(number), Manifest, number)
        if not manifest.created_at:
            place = f"{storage.location}/{manifest_path(number)}"
            raise LakeDamagedError(f"{place} was altered: it has no creation time")
        if parse_time(manifest.created_at) < moment and number < oldest:
            break
        removed.update(manifest.removed)
    return removed


def numbers(storage: Storage) -> tuple[dict[int, datetime], set[int]]:
    """Return the commits that have a file, with its time, and the checkpoints."""
    commits: dict[int, datetime] = {}
    checkpoints: set[int] = set()
    for file in storage.list(FOLDER):
        match = _NAME.fullmatch(file.path)
        if match is None:
            continue
        if match[1]:
            checkpoints.add(int(match[2]))
        else:
            commits[int(match[2])] = file.modified_at
    return commits, checkpoints


def _apply_until(storage: Storage, state: LakeState, newest: int) -> None:
    for number in range(state.number + 1, newest + 1):
        state.apply(read_document(storage, manifest_path(number), Manifest, number))
