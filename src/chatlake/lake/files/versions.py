"""What the part files of a lake say about its completions: read column by column, never whole.

A file that is missing or altered raises LakeDamagedError.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any, Final

from chatlake.backup.lake_port import Columns, StoredVersion
from chatlake.lake.files.parts import read_columns
from chatlake.model.manifest import LakeState, PartFile
from chatlake.model.partitions import Partition
from chatlake.model.tables import (
    COLUMNS,
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    MESSAGE_HISTORY,
    MESSAGES,
)
from chatlake.storage.interface import Storage

_SECOND: Final = 1_000_000
_DAYS_LOOKED_AT: Final = 7
_OF_A_COMPLETION: Final = (MESSAGES, CONTENT_PARTS, HISTORY, MESSAGE_HISTORY)


def keys(storage: Storage, files: Iterable[PartFile], column: str = "completion_id") -> set[str]:
    """Return all values of a column of these files."""
    return {key for file in files for key in read_columns(storage, file, column)[0]}


def stored_versions(
    storage: Storage, state: LakeState, partition: Partition
) -> dict[str, StoredVersion]:
    """Return completion id -> version for every completion of the partition."""
    names = "completion_id", "digest", "first_seen_at", "synced_at", "deleted_at"
    counts = "message_count", "choice_count", "image_count"
    found: dict[str, StoredVersion] = {}
    for file in state.partition_files(partition, COMPLETIONS):
        columns = read_columns(storage, file, *names, *counts)
        for key, digest, first_seen, synced, deleted, *many in zip(*columns, strict=True):
            observed = synced if deleted is None else max(synced, deleted)
            inputs = None if many[0] is None else many[0] - (many[1] or 0)
            found[key] = StoredVersion(
                digest, first_seen, observed, deleted is not None, inputs, many[2]
            )
    return found


def stored_texts(
    storage: Storage, state: LakeState, partition: Partition, *, but_of: Container[str]
) -> Iterator[tuple[str, str]]:
    """Yield id and exact text of the partition's whole completions.

    `but_of`: ids of runs; what these have stored is left out.
    """
    for file in state.partition_files(partition, COMPLETIONS):
        runs = read_columns(storage, file, "run_id")[0]
        if all(run in but_of for run in runs):
            continue
        columns = read_columns(storage, file, "completion_id", "digest", "raw", "raw_exact")
        for run, key, digest, raw, exact in zip(runs, *columns, strict=True):
            if run not in but_of and digest is not None and raw is not None:
                yield key, raw if exact is None else exact


def has_input_messages(storage: Storage, state: LakeState, source: str) -> bool:
    """Say whether one of the source's newest days holds a message from `/messages`."""
    for partition in state.partitions(source)[-_DAYS_LOOKED_AT:]:
        for file in state.partition_files(partition, MESSAGES):
            if "input" in read_columns(storage, file, "direction")[0]:
                return True
    return False


def resume_points(
    storage: Storage, state: LakeState, source: str, *, before: int
) -> Iterator[tuple[str, int]]:
    """Yield (completion id, created) of stored completions created before `before`.

    Newest first, one for each second, without those known to be deleted; lazily, partition by
    partition. Both times are UTC seconds.
    """
    newest = Partition.of(source, before)
    for partition in reversed(state.partitions(source)):
        if partition > newest:
            continue
        by_second: dict[int, str] = {}
        for file in state.partition_files(partition, COMPLETIONS):
            names = "completion_id", "created_at", "deleted_at"
            for key, micros, deleted in zip(*read_columns(storage, file, *names), strict=True):
                if deleted is None and micros is not None:
                    by_second[micros // _SECOND] = key
        for second in sorted(by_second, reverse=True):
            if second < before:
                yield by_second[second], second


def superseded(
    storage: Storage, state: LakeState, partition: Partition, completion_ids: Container[str]
) -> Columns | None:
    """Return the present versions of these completions as rows of the table `history`.

    The first version of a completion is 'created' when it was first seen, each later one 'changed'
    when it was fetched; where it was found gone, a row 'deleted' follows. Versions without a digest
    (messages never fetched) do not count. None without rows.
    """
    before = keys(storage, state.partition_files(partition, HISTORY))
    names = "completion_id", "digest", "first_seen_at", "synced_at", "deleted_at"
    versions: list[tuple[Any, ...]] = []
    for file in state.partition_files(partition, COMPLETIONS):
        columns = read_columns(storage, file, *names, "created_at", "raw", "raw_exact")
        for key, digest, first_seen, synced, deleted, *content in zip(*columns, strict=True):
            if key not in completion_ids or digest is None:
                continue
            is_first = key not in before
            moment, change = (first_seen, "created") if is_first else (synced, "changed")
            versions.append((key, moment, change, *content, digest))
            if deleted is not None:
                versions.append((key, deleted, "deleted", *content, digest))
    if not versions:
        return None
    return dict(zip(COLUMNS[HISTORY], map(list, zip(*versions, strict=True)), strict=True))


def rows_without_completion(
    storage: Storage, files: Iterable[PartFile], *, without: Container[str]
) -> dict[str, int | None]:
    """Return completion id -> created_at (microseconds) of rows without a completion.

    `files`: those of one partition; `without`: paths not to be read.
    """
    readable = [file for file in files if file.path not in without]
    found: dict[str, int | None] = {}
    for file in readable:
        if file.table in _OF_A_COMPLETION:
            found.update(
                zip(*read_columns(storage, file, "completion_id", "created_at"), strict=True)
            )
    for key in keys(storage, [file for file in readable if file.table == COMPLETIONS]):
        found.pop(key, None)
    return found
