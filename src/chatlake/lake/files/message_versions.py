"""The messages that the lake holds of single completions, and those that it is about to lose.

A day may have gigabytes of messages, but only a handful of edited completions. So files are read by
row groups, ids first; of a group without any of the ids, nothing else is read. A file that is
missing or altered raises LakeDamagedError.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from chatlake.backup.lake_port import Columns, StoredMessage
from chatlake.errors import LakeDamagedError
from chatlake.lake.files.arrow import to_values
from chatlake.lake.files.parts import open_part, read_columns
from chatlake.model.manifest import LakeState, PartFile
from chatlake.model.partitions import Partition
from chatlake.model.tables import COLUMNS, COMPLETIONS, MESSAGE_HISTORY, MESSAGES
from chatlake.storage.interface import Storage

_KEPT: Final = tuple(name for name in COLUMNS[MESSAGE_HISTORY] if name != "observed_at")


def stored_messages(
    storage: Storage, state: LakeState, partition: Partition, completion_ids: Collection[str]
) -> dict[str, list[StoredMessage]]:
    """Return the stored messages of these completions, in the order of the conversation."""
    names = "completion_id", "message_index", "message_id", "direction", "raw", "raw_exact"
    found: dict[str, list[tuple[int, StoredMessage]]] = {}
    for file in state.partition_files(partition, MESSAGES):
        for rows in _rows_of(storage, file, completion_ids, names):
            columns = [to_values(rows[name]) for name in names]
            for owner, index, name, direction, raw, exact in zip(*columns, strict=True):
                message = name, direction, raw if exact is None else exact
                found.setdefault(owner, []).append((index, message))
    return {
        owner: [message for _, message in sorted(messages, key=lambda entry: entry[0])]
        for owner, messages in found.items()
    }


def lost_messages(
    storage: Storage,
    state: LakeState,
    partition: Partition,
    message_ids: Mapping[str, Collection[str]],
) -> Columns | None:
    """Return stored messages as rows of `message_history`; None if there are none of them.

    `message_ids`: completion id -> ids of its messages.
    """
    if not message_ids:
        return None
    stored_at: dict[str, int] = {}
    for file in state.partition_files(partition, COMPLETIONS):
        columns = read_columns(storage, file, "completion_id", "synced_at")
        stored_at.update(entry for entry in zip(*columns, strict=True) if entry[0] in message_ids)
    lost: list[dict[str, Any]] = []
    for file in state.partition_files(partition, MESSAGES):
        for rows in _rows_of(storage, file, message_ids.keys(), _KEPT):
            columns = [to_values(rows[name]) for name in _KEPT]
            for values in zip(*columns, strict=True):
                row = dict(zip(_KEPT, values, strict=True))
                owner = row["completion_id"]
                if row["message_id"] in message_ids[owner]:
                    lost.append(row | {"observed_at": stored_at.get(owner)})
    if not lost:
        return None
    return {name: [row[name] for row in lost] for name in COLUMNS[MESSAGE_HISTORY]}


def _rows_of(
    storage: Storage, file: PartFile, completion_ids: Collection[str], names: tuple[str, ...]
) -> Iterator[pa.Table]:
    import pyarrow.compute as pc  # noqa: PLC0415 - takes a while, rarely needed

    wanted = pa.array(list(completion_ids), pa.string())
    with open_part(storage, file.path, size=file.bytes) as part:
        if part.metadata.num_rows != file.rows or not set(names) <= set(part.schema_arrow.names):
            raise LakeDamagedError(f"{storage.location}/{file.path} was altered")
        for group in range(part.num_row_groups):
            owners = part.read_row_group(group, columns=["completion_id"])["completion_id"]
            hits = pc.is_in(owners, value_set=wanted)
            if pc.any(hits).as_py():
                yield part.read_row_group(group, columns=list(names)).filter(hits)
