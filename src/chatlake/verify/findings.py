"""What a verification finds: the file, what is wrong with it, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from chatlake.lake.manifests import Head
from chatlake.storage.interface import Storage
from chatlake.verify.expectation import Expectation
from chatlake.verify.record import Subset

FindingKind = Literal[
    "missing",  # listed or numbered, but missing
    "forbidden",  # this user may not read it, so nothing is known about it
    "unreadable",  # exists, but cannot be read or understood
    "size",  # its number of bytes differs from the manifest
    "altered",  # its SHA-256 differs from the manifest or from the one in the document itself
    "misplaced",  # its name or folder does not match its content
    "schema",  # its columns differ from the table's
    "rows",  # its number of rows differs from the manifest
    "range",  # rows created outside the partition's day or the file's range
    "duplicate",  # a key occurs twice
    "orphan",  # rows whose completion or message is not stored
    "count",  # a count that another table contradicts
    "image",  # an image that is not stored, or whose bytes are not those of its SHA-256
    "contradiction",  # a document that others contradict
    "rewritten",  # a commit that is not the original one
    "derived",  # a column that does not match the object that the API sent
    "format",  # written by a newer chatlake
]

RESTORE_OR_FETCH: Final = (
    "Restore it from a copy, or delete it and run `chatlake backup --full`: "
    "the backup fetches again what the source still has."
)
RESTORE_OR_FETCH_MISSING: Final = (
    "Restore it from a copy, or run `chatlake backup --full`: "
    "the backup fetches again what the source still has."
)
RESTORE_MANIFEST: Final = "Restore it from a copy of the lake: its content exists nowhere else."
RESTORE_CHECKPOINT: Final = (
    "Nothing is lost: the manifests up to it have the same content. Delete it, if it is there; "
    "the next `chatlake backup` writes it again from them."
)
ALLOW: Final = "Run `chatlake verify` as the user who backs up."
UPGRADE: Final = "Upgrade chatlake."
WRITTEN_ANEW: Final = "Delete it: the next `chatlake backup` writes it again."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one file. `path` is relative to the lake; `kind` the word for programs.

    `problem` says what is wrong, `remedy` what to do; both are sentences for people.
    """

    path: str
    problem: str
    remedy: str
    kind: FindingKind


def split_message(storage: Storage, message: str) -> tuple[str, str]:
    """Return path and problem of an error's message that begins with the file's full name."""
    path, _, problem = message.removeprefix(f"{storage.location}/").partition(" ")
    return path, problem


@dataclass(slots=True)
class VerifyReport:
    """What a verification found.

    `notes`: what is worth knowing but is not damage. `files`, `bytes`, `rows`: of the data files
    that were read, out of `listed_files` in the lake. `manifests`: how many manifests and
    checkpoints were read. `seconds`: wall time. `head`: the newest commit. `expectation`: the
    fingerprint to look for, and where it was found.
    """

    location: str
    subset: Subset | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    rows: int = 0
    listed_files: int = 0
    manifests: int = 0
    seconds: float = 0.0
    head: Head | None = None
    expectation: Expectation | None = None

    @property
    def is_sound(self) -> bool:
        """Whether everything could be read and nothing is wrong."""
        return not self.findings

    @property
    def is_damaged(self) -> bool:
        """Whether something that could be read is wrong."""
        return any(finding.kind != "forbidden" for finding in self.findings)
