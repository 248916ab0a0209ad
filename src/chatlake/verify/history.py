"""Every manifest and checkpoint: readable, unaltered, without a hole, and in agreement."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from chatlake.errors import LakeDamagedError
from chatlake.lake.manifests import FOLDER, checkpoint_path, find_damage, manifest_path
from chatlake.model.manifest import CHECKPOINT_EVERY, Checkpoint, LakeState, Manifest, PartFile
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.findings import (
    RESTORE_CHECKPOINT,
    RESTORE_MANIFEST,
    UPGRADE,
    Finding,
    Kind,
    split_message,
)

Document = TypeVar("Document", Manifest, Checkpoint)


@dataclass(slots=True)
class History:
    """What the manifests say. `state`: the newest one's; None if it cannot be known.

    `documents`: how many manifests and checkpoints there are.
    """

    newest: int = 0
    documents: int = 0
    state: LakeState | None = field(default_factory=LakeState)
    findings: list[Finding] = field(default_factory=list)


def check_history(
    storage: RereadingStorage, on_state: Callable[[LakeState], None] = lambda _: None
) -> History:
    """Read every manifest and checkpoint; `on_state` sees the state after each commit, in order."""
    history = History()
    on_disk = {file.path for file in storage.list(FOLDER)}
    history.findings = list(_damage(storage))
    bad = {finding.path for finding in history.findings}
    history.newest = _newest(on_disk | bad)
    for number in range(1, history.newest + 1):
        history.documents += manifest_path(number) in on_disk
        history.documents += checkpoint_path(number) in on_disk
        _take_commit(storage, history, number, bad)
        if number % CHECKPOINT_EVERY == 0:
            _take_checkpoint(storage, history, number, bad)
        if history.state is not None:
            on_state(history.state)
    return history


def readable_files(storage: RereadingStorage, newest: int) -> dict[str, PartFile]:
    """Return the part files, by path, that any readable manifest or checkpoint has listed."""
    files: dict[str, PartFile] = {}
    for number in range(1, newest + 1):
        manifest = _decoded(storage, manifest_path(number), Manifest)
        checkpoint = _decoded(storage, checkpoint_path(number), Checkpoint)
        for file in manifest.added if manifest else ():
            files[file.path] = file
        for file in checkpoint.files if checkpoint else ():
            files[file.path] = file
    return files


def missing_manifest(number: int, evidence: str) -> Finding:
    """Return the finding that a manifest newer than all existing ones is missing."""
    problem = f"is missing: {evidence}"
    return Finding(manifest_path(number), problem, RESTORE_MANIFEST, "missing")


def _damage(storage: RereadingStorage) -> Iterator[Finding]:
    lines = list(find_damage(storage))
    if lines:  # once more, because a temporary fault is not damage
        storage.pause()
        again = set(find_damage(storage))
        lines = [line for line in lines if line in again]
    for line in lines:
        path, problem = split_message(storage, line)
        kind = _kind(problem)
        remedy = RESTORE_CHECKPOINT if "checkpoint" in path else RESTORE_MANIFEST
        yield Finding(path, problem, UPGRADE if kind == "format" else remedy, kind)


def _kind(problem: str) -> Kind:
    known: dict[str, Kind] = {
        "is missing": "missing",
        "was altered": "altered",
        "holds number": "misplaced",
        "has format": "format",
    }
    return next((kind for head, kind in known.items() if problem.startswith(head)), "unreadable")


def _newest(paths: set[str]) -> int:
    names = (path.rpartition("/")[2].removeprefix("checkpoint-") for path in paths)
    numbers = (name.removesuffix(".json") for name in names)
    return max((int(n) for n in numbers if len(n) == 12 and n.isdecimal()), default=0)


def _take_commit(storage: RereadingStorage, history: History, number: int, bad: set[str]) -> None:
    path = manifest_path(number)
    manifest = None if path in bad else _decoded(storage, path, Manifest)
    if manifest is None:
        history.state = None
    elif history.state is not None:
        history.state.apply(manifest)


def _take_checkpoint(
    storage: RereadingStorage, history: History, number: int, bad: set[str]
) -> None:
    path = checkpoint_path(number)
    if path in bad:
        if history.state is None:  # nothing else has its content
            history.findings = [
                dataclasses.replace(finding, remedy=RESTORE_MANIFEST)
                if finding.path == path and finding.remedy == RESTORE_CHECKPOINT
                else finding
                for finding in history.findings
            ]
        return
    checkpoint = _decoded(storage, path, Checkpoint)
    if checkpoint is None:
        # The newest one is written after its commit, at the latest by the next run.
        if number < history.newest and storage.size(path) is None:
            remedy = RESTORE_CHECKPOINT if history.state is not None else RESTORE_MANIFEST
            history.findings.append(Finding(path, "is missing", remedy, "missing"))
        return
    told = LakeState.from_checkpoint(checkpoint)
    if history.state is None:
        history.state = told
    elif not _agree(history.state, told):
        problem = "does not match the manifests up to it"
        history.findings.append(Finding(path, problem, RESTORE_CHECKPOINT, "contradiction"))


def _agree(one: LakeState, other: LakeState) -> bool:
    return (
        one.files == other.files
        and one.cursors == other.cursors
        and one.runs == other.runs
        and one.failures == other.failures
    )


def _decoded(storage: RereadingStorage, path: str, kind: type[Document]) -> Document | None:
    """Return a document whose hash is known to be valid; None if it is missing or incomplete."""
    try:
        return msgspec.json.decode(storage.read(path), type=kind)
    except (FileNotFoundError, LakeDamagedError, msgspec.DecodeError):
        return None
