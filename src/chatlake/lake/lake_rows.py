"""The rows of a lake, as the backup reads, writes and rewrites them.

Nothing here makes files visible; the commit does that.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence

from chatlake.backup.lake_port import Columns, Rows, StoredMessage, StoredVersion
from chatlake.lake import files as part_files
from chatlake.model.manifest import LakeState, PartFile
from chatlake.model.partitions import Partition
from chatlake.model.tables import COMPLETIONS, IMAGES, MISSED
from chatlake.storage.interface import Storage


class LakeRows:
    """The rows that the newest manifest lists, and the files written for the next one."""

    def __init__(self, storage: Storage, state: LakeState) -> None:
        self.storage = storage
        self.location = storage.location
        self._state = state

    @property
    def state(self) -> LakeState:
        """What the newest manifest lists."""
        return self._state

    def stored_versions(self, partition: Partition) -> dict[str, StoredVersion]:
        """Return completion id -> version for every completion of the partition."""
        return part_files.versions.stored_versions(self.storage, self._state, partition)

    def stored_texts(
        self, partition: Partition, *, but_of: Container[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield id and exact text of the partition's whole completions; see `LakeStore`."""
        return part_files.versions.stored_texts(self.storage, self._state, partition, but_of=but_of)

    def stored_messages(
        self, partition: Partition, completion_ids: Collection[str]
    ) -> dict[str, list[StoredMessage]]:
        """Return the stored messages of these completions, in the order of the conversation."""
        return part_files.message_versions.stored_messages(
            self.storage, self._state, partition, completion_ids
        )

    def lost_messages(
        self, partition: Partition, message_ids: Mapping[str, Collection[str]]
    ) -> Columns | None:
        """Return stored messages as rows of `message_history`; see `LakeStore`."""
        return part_files.message_versions.lost_messages(
            self.storage, self._state, partition, message_ids
        )

    def has_input_messages(self, source: str) -> bool:
        """Say whether the newest days of a source hold a message from `/messages`."""
        return part_files.versions.has_input_messages(self.storage, self._state, source)

    def stored_images(self, partition: Partition) -> set[str]:
        """Return the SHA-256 (hex) of every image of the partition."""
        return part_files.versions.keys(
            self.storage, self._state.partition_files(partition, IMAGES), "sha256"
        )

    def resume_points(self, source: str, *, before: int) -> Iterator[tuple[str, int]]:
        """Yield (completion id, created) to resume after; see `versions.resume_points`."""
        return part_files.versions.resume_points(self.storage, self._state, source, before=before)

    def superseded(self, partition: Partition, completion_ids: Container[str]) -> Columns | None:
        """Return these completions as rows of `history`; see `versions.superseded`."""
        return part_files.versions.superseded(self.storage, self._state, partition, completion_ids)

    def missed(self, partition: Partition) -> set[str]:
        """Return the ids of the completions that full sweeps have missed once so far."""
        return part_files.versions.keys(
            self.storage, self._state.partition_files(partition, MISSED)
        )

    def missing_files(self) -> list[PartFile]:
        """Return the listed files that do not exist or have another size than listed."""
        files = list(self._state.files.values())
        sizes = self.storage.sizes(self._state.files)
        return [file for file in files if sizes.get(file.path) != file.bytes]

    def rows_without_completion(
        self, partition: Partition, *, without: Container[str]
    ) -> dict[str, int | None]:
        """Return completion id -> created_at (microseconds) of rows without a completion."""
        return part_files.versions.rows_without_completion(
            self.storage, self._state.partition_files(partition), without=without
        )

    def write_parts(self, rows: Rows) -> list[PartFile]:
        """Write one durable Parquet file for each table and partition; nothing lists them yet."""
        written = (
            part_files.parts.write_part(
                self.storage,
                table,
                partition,
                part_files.arrow.to_tables(table, columns),
                expected_rows=len(next(iter(columns.values()))),
            )
            for (table, partition), columns in rows.items()
        )
        return [file for file in written if file is not None]

    def without_completions(
        self, partition: Partition, completion_ids: Container[str], tables: Sequence[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's files that hold rows of these completions, without them.

        Returns the files written and the paths to remove; a file left empty is only removed.
        """
        files = [f for table in tables for f in self._state.partition_files(partition, table)]
        return part_files.rewriting.without(self.storage, files, "completion_id", completion_ids)

    def without_images(
        self, files: Iterable[PartFile], known: Container[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite those of `files` (table images) that hold an image of `known`, without it."""
        return part_files.rewriting.without(self.storage, files, "sha256", known)

    def forget_digests(
        self, partition: Partition, *, without: Container[str]
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's completions without digest, so that they are fetched again.

        `without`: paths of files to leave alone.
        """
        files = self._state.partition_files(partition, COMPLETIONS)
        return part_files.rewriting.with_nulls(
            self.storage, [file for file in files if file.path not in without], "digest"
        )

    def mark_deleted(
        self, partition: Partition, completion_ids: Container[str], deleted_at: int
    ) -> tuple[list[PartFile], list[str]]:
        """Rewrite the partition's completions with `deleted_at` (microseconds) for these."""
        files = self._state.partition_files(partition, COMPLETIONS)
        return part_files.rewriting.marked_deleted(self.storage, files, completion_ids, deleted_at)
