"""What the backup needs from a lake: rows by partition, part files, commits."""

from __future__ import annotations

from collections.abc import (
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Protocol

import msgspec

from chatlake.model.manifest import LakeState, Manifest, PartFile
from chatlake.model.partitions import Partition

Columns = dict[str, list[Any]]
"""One table's rows of one partition by columns: names and order as in `model.tables.COLUMNS`."""


StoredMessage = tuple[str, str, str]
"""A stored message: its id, its direction and its exact text."""


Rows = Mapping[tuple[str, Partition], Columns]
"""Rows of many tables and partitions: (table, partition) -> columns."""


class StoredVersion(msgspec.Struct, frozen=True, gc=False):
    """What the lake holds of a completion: digest of its canonical JSON, and when it was seen.

    `digest` is None if its messages are still missing. `observed_at`: when the last thing known
    of it was seen; with `deleted`, that it was gone. Times in microseconds since 1970. `inputs`,
    `images`: how many input messages and image parts are stored, None if that is unknown.
    """

    digest: bytes | None
    first_seen_at: int
    observed_at: int
    deleted: bool = False
    inputs: int | None = None
    images: int | None = None


class LakeStore(Protocol):
    """The lake as the backup sees it. The caller holds the lake's lock."""

    location: str

    @property
    def state(self) -> LakeState:
        """What the newest manifest lists (kept current by `commit`)."""
        ...

    def stored_versions(self, partition: Partition) -> dict[str, StoredVersion]:
        """Return completion id -> version for every completion of the partition."""
        ...

    def stored_texts(
        self, partition: Partition, *, but_of: Container[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield id and exact text of the partition's whole completions.

        `but_of`: ids of runs; what these have stored is left out.
        """
        ...

    def has_input_messages(self, source: str) -> bool:
        """Say whether the newest days of a source hold a message from `/messages`."""
        ...

    def stored_images(self, partition: Partition) -> set[str]:
        """Return the SHA-256 (hex) of every image of the partition."""
        ...

    def resume_points(self, source: str, *, before: int) -> Iterator[tuple[str, int]]:
        """Yield (completion id, created) of stored completions created before `before`.

        Newest first, at most one for each second; lazily, partition by partition.
        """
        ...

    def write_parts(self, rows: Rows) -> list[PartFile]:
        """Write one durable Parquet file for each table and partition; nothing lists them yet.

        LakeUnwritableError when the disk is full, read-only, or a permission is missing.
        """
        ...

    def superseded(self, partition: Partition, completion_ids: Container[str]) -> Columns | None:
        """Return the present versions of these completions as rows of the table `history`.

        A version that was found gone at the source gives a second row. Versions without a digest
        (messages never fetched) do not count. None if there are no rows.
        """
        ...

    def stored_messages(
        self, partition: Partition, completion_ids: Collection[str]
    ) -> dict[str, list[StoredMessage]]:
        """Return the stored messages of these completions, in the order of the conversation."""
        ...

    def lost_messages(
        self, partition: Partition, message_ids: Mapping[str, Collection[str]]
    ) -> Columns | None:
        """Return stored messages as rows of `message_history`; None if there are none of them.

        `message_ids`: completion id -> ids of its messages.
        """
        ...

    def without_completions(
        self, partition: Partition, completion_ids: Container[str], tables: Sequence[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's files that hold rows of these completions, without them.

        Returns the files written and the paths to remove; nothing lists them yet.
        """
        ...

    def missing_files(self) -> list[PartFile]:
        """Return the listed files that do not exist or have another size than listed."""
        ...

    def forget_digests(
        self, partition: Partition, *, without: Container[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's completions without digest, so that they are fetched again.

        `without`: paths not to be read. Returns the files written and the paths they replace.
        """
        ...

    def rows_without_completion(
        self, partition: Partition, *, without: Container[str]
    ) -> dict[str, int | None]:
        """Return completion id -> created_at (microseconds) of rows without a completion.

        Rows of messages, content parts or earlier versions whose completion is not stored.

        `without`: paths not to be read.
        """
        ...

    def missed(self, partition: Partition) -> set[str]:
        """Return the ids of the completions that full sweeps have missed once so far."""
        ...

    def mark_deleted(
        self, partition: Partition, completion_ids: Container[str], deleted_at: int
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's completions with `deleted_at` (microseconds) for these.

        Returns the files written and the paths that they replace; nothing lists them yet.
        """
        ...

    def without_images(
        self, files: Iterable[PartFile], known: Container[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite those of `files` (table images) that hold an image of `known`, without it.

        Returns the files written and the paths that they replace.
        """
        ...

    def commit(self, manifest: Manifest) -> None:
        """Make `manifest` the newest: fills in its number, then refreshes the catalogue.

        CommitConflictError when another run committed first.
        """
        ...
