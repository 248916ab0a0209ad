"""Manifests: what each commit added to and removed from the lake, and the state they add up to.

Format 1. Every struct is written as JSON; readers tolerate unknown keys, so that a later version of
the same format may add some. Times are RFC 3339 in UTC with a trailing `Z`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from chatlake.model.forgotten import Forgetting, Forgotten
from chatlake.model.new_fields import NewField
from chatlake.model.partitions import Partition

FORMAT = 1
CHECKPOINT_EVERY = 32


class PartFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One Parquet file of one table and partition.

    `path` is relative to the lake, `bytes` the size of the file, `sha256` its hex digest,
    `min_created_at` and `max_created_at` the range of its completions' creation.
    """

    table: str
    path: str
    rows: int
    bytes: int
    sha256: str
    source: str
    created_date: str
    min_created_at: str
    max_created_at: str

    @property
    def partition(self) -> Partition:
        """The partition that the file belongs to."""
        return Partition(self.source, self.created_date)


class Cursor(msgspec.Struct, frozen=True):
    """How far a source is backed up without a gap, except for named failures.

    `completion_id`, `created` (UTC seconds): the last completion of the finished prefix of the
    ascending list. `selection`: the fingerprint of the selection that it belongs to.
    """

    completion_id: str
    created: int
    selection: str = ""


class SourceRun(msgspec.Struct, kw_only=True):
    """The figures of one run for one source: listed = new + changed + unchanged + failed.

    `status`: running, complete, incomplete, failed or interrupted. `mode`: incremental, full or
    ids. `seconds`: wall time so far. `requests` counts every request sent, `retries` those sent
    again, `rate_limited` the 429 responses. `bytes_added`: size of the files added. `healed_files`:
    listed files that were missing, whose content was requested again. `redacted`: values replaced
    in what was stored, by kind. `redaction`: the fingerprint of the rules, empty without any.
    """

    run_id: str
    source: str
    status: str
    mode: str
    started_at: str
    finished_at: str | None = None
    seconds: float = 0.0
    listed: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    messages: int = 0
    content_parts: int = 0
    images: int = 0
    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    files_added: int = 0
    bytes_added: int = 0
    healed_files: int = 0
    error: str | None = None
    redacted: dict[str, int] = {}
    redaction: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A completion that could not be fetched yet: a named gap, which the next run tries again."""

    source: str
    completion_id: str
    reason: str
    detail: str
    request_id: str = ""
    created: int | None = None
    run_id: str = ""
    first_attempt_at: str = ""
    last_attempt_at: str = ""
    attempts: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """Source and completion id."""
        return self.source, self.completion_id


class Manifest(msgspec.Struct, kw_only=True):
    """One commit. `resolved`: the failures (source, completion id) that it closes.

    `forgotten`: the receipts of what it erases for good.
    `previous`: the SHA-256 (hex) of the file of the commit before, so that no commit can change
    without every later one. Empty in the first commit, and in those of a chatlake before 0.2.
    """

    format: int = FORMAT
    number: int = 0
    previous: str = ""
    created_at: str = ""
    run_id: str = ""
    chatlake: str = ""
    added: list[PartFile] = []
    removed: list[str] = []
    cursors: dict[str, Cursor] = {}
    runs: list[SourceRun] = []
    failures: list[Failure] = []
    resolved: list[tuple[str, str]] = []
    forgotten: list[Forgetting] = []
    new_fields: list[NewField] = []


class Checkpoint(msgspec.Struct, kw_only=True):
    """The whole state after commit `number`."""

    format: int = FORMAT
    number: int = 0
    created_at: str = ""
    chatlake: str = ""
    files: list[PartFile] = []
    cursors: dict[str, Cursor] = {}
    runs: list[SourceRun] = []
    failures: list[Failure] = []
    forgotten: list[Forgetting] = []
    new_fields: list[NewField] = []


class LakeState:
    """What the newest manifest lists: files by path, cursors, runs, open failures.

    `forgotten`: what was erased for good. `new_fields`: those that were not known when they came,
    by source and field, oldest first. `number` is 0 for a lake without commits.
    """

    def __init__(self) -> None:
        self.number = 0
        self.files: dict[str, PartFile] = {}
        self.cursors: dict[str, Cursor] = {}
        self.runs: dict[tuple[str, str], SourceRun] = {}
        self.failures: dict[tuple[str, str], Failure] = {}
        self.forgotten = Forgotten()
        self.new_fields: dict[tuple[str, str], NewField] = {}
        self._by_partition: dict[Partition, dict[str, PartFile]] = {}

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> LakeState:
        """Start from a checkpoint."""
        state = cls()
        state.number = checkpoint.number
        state._add(checkpoint.files)
        state.cursors.update(checkpoint.cursors)
        state.runs.update(((run.run_id, run.source), run) for run in checkpoint.runs)
        state.failures.update((failure.key, failure) for failure in checkpoint.failures)
        state.forgotten = Forgotten(checkpoint.forgotten)
        state.new_fields.update((each.key, each) for each in checkpoint.new_fields)
        return state

    def apply(self, manifest: Manifest) -> None:
        """Apply the next commit."""
        self.number = manifest.number
        for path in manifest.removed:
            file = self.files.pop(path, None)
            if file is not None:
                del self._by_partition[file.partition][path]
        self._add(manifest.added)
        self.cursors.update(manifest.cursors)
        self.runs.update(((run.run_id, run.source), run) for run in manifest.runs)
        for key in manifest.resolved:
            self.failures.pop((key[0], key[1]), None)
        self.failures.update((failure.key, failure) for failure in manifest.failures)
        for receipt in manifest.forgotten:
            self.forgotten.add(receipt)
        for each in manifest.new_fields:
            met = self.new_fields.get(each.key)
            self.new_fields[each.key] = each if met is None else met.plus(each)

    def checkpoint(self, *, created_at: str, chatlake: str) -> Checkpoint:
        """Return the whole state, to be written as a checkpoint."""
        return Checkpoint(
            number=self.number,
            created_at=created_at,
            chatlake=chatlake,
            files=list(self.files.values()),
            cursors=dict(self.cursors),
            runs=list(self.runs.values()),
            failures=list(self.failures.values()),
            forgotten=list(self.forgotten.receipts),
            new_fields=list(self.new_fields.values()),
        )

    def table_files(self, table: str) -> list[PartFile]:
        """Return the files of one table, in order of commit."""
        return [file for file in list(self.files.values()) if file.table == table]

    def partition_files(self, partition: Partition, table: str | None = None) -> list[PartFile]:
        """Return the files of one partition, of one table or of all."""
        # Copy first, because batches read while the run commits.
        files = list(self._by_partition.get(partition, {}).values())
        return [file for file in files if table in (None, file.table)]

    def partitions(self, source: str) -> list[Partition]:
        """Return the partitions of a source that hold files, oldest first."""
        return sorted(p for p, files in self._by_partition.items() if files and p.source == source)

    def _add(self, files: Iterable[PartFile]) -> None:
        for file in files:
            self.files[file.path] = file
            self._by_partition.setdefault(file.partition, {})[file.path] = file


def format_time(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC with microseconds and `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Read what `format_time` wrote. ValueError if it is not a time."""
    return datetime.fromisoformat(text)
