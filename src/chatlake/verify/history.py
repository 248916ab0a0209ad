"""Every manifest and checkpoint: readable, unaltered, without a hole, and in agreement."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from chatlake.errors import LakeDamagedError
from chatlake.lake.manifests import FOLDER, Head, checkpoint_path, find_damage, manifest_path
from chatlake.model.manifest import (
    CHECKPOINT_EVERY,
    Checkpoint,
    LakeState,
    Manifest,
    PartFile,
    parse_time,
)
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.chain import Chain
from chatlake.verify.expectation import Expectation
from chatlake.verify.findings import (
    RESTORE_CHECKPOINT,
    RESTORE_MANIFEST,
    UPGRADE,
    Finding,
    FindingKind,
    split_message,
)

Document = TypeVar("Document", Manifest, Checkpoint)


@dataclass(slots=True)
class History:
    """What the manifests say. `state`: the newest one's; None if it cannot be known.

    `documents`: how many manifests and checkpoints there are. `chain`: how the commits follow one
    another.
    """

    newest: int = 0
    documents: int = 0
    state: LakeState | None = field(default_factory=LakeState)
    findings: list[Finding] = field(default_factory=list)
    chain: Chain = field(default_factory=Chain)


def check_history(
    storage: RereadingStorage,
    on_state: Callable[[LakeState], None] = lambda _: None,
    expectation: Expectation | None = None,
) -> History:
    """Read every manifest and checkpoint; `on_state` sees the state after each commit, in order.

    `expectation`: a fingerprint to look for among the commits.
    """
    history = History(chain=Chain(expectation))
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
    history.findings += [*history.chain.findings, *history.chain.unmet()]
    return history


def readable_files(storage: RereadingStorage, newest: int) -> dict[str, PartFile]:
    """Return the part files, by path, that any readable manifest or checkpoint has listed."""
    files: dict[str, PartFile] = {}
    for number in range(1, newest + 1):
        manifest = _decoded(storage, manifest_path(number), Manifest)
        checkpoint = _decoded(storage, checkpoint_path(number), Checkpoint)
        for file in manifest[0].added if manifest else ():
            files[file.path] = file
        for file in checkpoint[0].files if checkpoint else ():
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


def _kind(problem: str) -> FindingKind:
    known: dict[str, FindingKind] = {
        "is missing": "missing",
        "was altered": "altered",
        "contains number": "misplaced",
        "has format": "format",
    }
    return next((kind for head, kind in known.items() if problem.startswith(head)), "unreadable")


def _newest(paths: set[str]) -> int:
    names = (path.rpartition("/")[2].removeprefix("checkpoint-") for path in paths)
    numbers = (name.removesuffix(".json") for name in names)
    return max((int(n) for n in numbers if len(n) == 12 and n.isdecimal()), default=0)


def _take_commit(storage: RereadingStorage, history: History, number: int, bad: set[str]) -> None:
    path = manifest_path(number)
    found = None if path in bad else _decoded(storage, path, Manifest)
    if found is None:
        history.state = None
        history.chain.skip()
        return
    manifest, sha256 = found
    stand_ins = frozenset(_hashes(storage, checkpoint_path(number), number))
    made_at = parse_time(manifest.created_at) if manifest.created_at else None
    history.chain.add(Head(number, sha256, made_at), manifest.previous, stand_ins)
    if history.state is not None:
        history.state.apply(manifest)


def _hashes(storage: RereadingStorage, checkpoint: str, number: int) -> Iterator[str]:
    """Yield the hash of a checkpoint, which replaces a lost manifest if a later one exists."""
    if number % CHECKPOINT_EVERY == 0:
        with suppress(FileNotFoundError, LakeDamagedError):
            yield hashlib.sha256(storage.read(checkpoint)).hexdigest()


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
    found = _decoded(storage, path, Checkpoint)
    if found is None:
        # The newest one is written after its commit, at the latest by the next run.
        if number < history.newest and storage.size(path) is None:
            remedy = RESTORE_CHECKPOINT if history.state is not None else RESTORE_MANIFEST
            history.findings.append(Finding(path, "is missing", remedy, "missing"))
        return
    told = LakeState.from_checkpoint(found[0])
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
        and one.forgotten.receipts == other.forgotten.receipts
        and one.new_fields == other.new_fields
    )


def _decoded(
    storage: RereadingStorage, path: str, kind: type[Document]
) -> tuple[Document, str] | None:
    """Return a document, with the SHA-256 of its file; the hash that it names is not checked.

    None if it is missing or cannot be decoded.
    """
    try:
        text = storage.read(path)
        return msgspec.json.decode(text, type=kind), hashlib.sha256(text).hexdigest()
    except (FileNotFoundError, LakeDamagedError, msgspec.DecodeError):
        return None
