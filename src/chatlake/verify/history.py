"""Every manifest and checkpoint: readable, unaltered, without a hole, and in agreement."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from chatlake.errors import LakeDamagedError, LakeFormatError
from chatlake.lake.manifests import FOLDER, Head, checkpoint_path, manifest_path
from chatlake.lake.sealed import parse_document
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
    """Read every manifest and checkpoint once; `on_state` sees the state after each commit.

    `expectation`: a fingerprint to look for among the commits.
    """
    history = History(chain=Chain(expectation))
    documents = _Documents(storage)
    history.newest = _newest(documents.there)
    for number in range(1, history.newest + 1):
        commit, checkpoint = manifest_path(number), checkpoint_path(number)
        history.documents += (commit in documents.there) + (checkpoint in documents.there)
        manifest = documents.read(commit, Manifest, number)
        told = documents.read(checkpoint, Checkpoint, number)
        history.findings += filter(None, (manifest.finding, told.finding))
        _take_commit(history, number, manifest, told)
        if number % CHECKPOINT_EVERY == 0:
            _take_checkpoint(storage, history, number, told)
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
        for file in manifest.added if manifest else ():
            files[file.path] = file
        for file in checkpoint.files if checkpoint else ():
            files[file.path] = file
    return files


def missing_manifest(number: int, evidence: str) -> Finding:
    """Return the finding that a manifest newer than all existing ones is missing."""
    problem = f"is missing: {evidence}"
    return Finding(manifest_path(number), problem, RESTORE_MANIFEST, "missing")


@dataclass(frozen=True, slots=True)
class _Read(Generic[Document]):
    """What one file holds, and the SHA-256 of its text; each is None where it cannot be known."""

    document: Document | None = None
    sha256: str | None = None
    finding: Finding | None = None


class _Documents:
    """Reads manifests and checkpoints, each once; what is wrong with one is read once more.

    That spares a year of nightly commits in a bucket some four hundred requests.
    """

    def __init__(self, storage: RereadingStorage) -> None:
        self.there = {file.path for file in storage.list(FOLDER)}
        self._storage = storage
        self._has_paused = False

    def read(self, path: str, kind: type[Document], number: int) -> _Read[Document]:
        """Read a file, a checkpoint only if there is one."""
        if kind is Checkpoint and path not in self.there:
            return _Read()
        found = self._read(path, kind, number)
        if found.finding is None:
            return found
        if not self._has_paused:  # a temporary fault is not damage
            self._storage.pause()
            self._has_paused = True
        return self._read(path, kind, number)

    def _read(self, path: str, kind: type[Document], number: int) -> _Read[Document]:
        place, sha256 = f"{self._storage.location}/{path}", None
        try:
            text = self._storage.read(path)
            sha256 = hashlib.sha256(text).hexdigest()
            return _Read(parse_document(text, place, kind, number), sha256)
        except FileNotFoundError:
            line = f"{place} is missing"
        except (LakeDamagedError, LakeFormatError) as error:
            line = error.message
        problem = split_message(self._storage, line)[1]
        found = _kind(problem)
        remedy = RESTORE_CHECKPOINT if kind is Checkpoint else RESTORE_MANIFEST
        return _Read(
            None, sha256, Finding(path, problem, UPGRADE if found == "format" else remedy, found)
        )


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


def _take_commit(
    history: History, number: int, read: _Read[Manifest], checkpoint: _Read[Checkpoint]
) -> None:
    manifest = read.document
    if manifest is None or read.sha256 is None:
        history.state = None
        history.chain.skip()
        return
    # A checkpoint replaces a lost manifest if a later one exists.
    stand_ins = frozenset(filter(None, (checkpoint.sha256,)))
    made_at = parse_time(manifest.created_at) if manifest.created_at else None
    history.chain.add(Head(number, read.sha256, made_at), manifest.previous, stand_ins)
    if history.state is not None:
        history.state.apply(manifest)


def _take_checkpoint(
    storage: RereadingStorage, history: History, number: int, read: _Read[Checkpoint]
) -> None:
    path = checkpoint_path(number)
    if read.finding is not None:
        if history.state is None and read.finding.remedy == RESTORE_CHECKPOINT:
            # Nothing else has its content.
            history.findings.remove(read.finding)
            history.findings.append(dataclasses.replace(read.finding, remedy=RESTORE_MANIFEST))
        return
    if read.document is None:
        # The newest one is written after its commit, at the latest by the next run.
        if number < history.newest and storage.size(path) is None:
            remedy = RESTORE_CHECKPOINT if history.state is not None else RESTORE_MANIFEST
            history.findings.append(Finding(path, "is missing", remedy, "missing"))
        return
    told = LakeState.from_checkpoint(read.document)
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


def _decoded(storage: RereadingStorage, path: str, kind: type[Document]) -> Document | None:
    """Return a document; the hash that it names is not checked.

    None if it is missing or cannot be decoded.
    """
    try:
        return msgspec.json.decode(storage.read(path), type=kind)
    except (FileNotFoundError, LakeDamagedError, msgspec.DecodeError):
        return None
