"""Derives every column from the stored objects again, and compares it with what the lake says.

A changed byte is found by its hash. A forger makes new hashes; but `raw` holds what the API sent,
and the columns follow from it by the same rules as when they were written (`model.flatten`). So a
column that was changed disagrees with its `raw`, whatever the hashes say.

A slice of completions at a time is flattened again and compared column by column in Arrow: that is
quick, and usually all of it agrees. A completion that differs anywhere is looked at by
`derived_rows`, which knows the differences that are legitimate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from chatlake.backup.rows import columns_of
from chatlake.errors import InvalidResponseError
from chatlake.lake.files.arrow import to_table, to_values
from chatlake.lake.files.parts import open_part
from chatlake.model.flatten import INPUT, FlatCompletion, Observation, Row, flatten
from chatlake.model.image_references import read_reference
from chatlake.model.manifest import PartFile
from chatlake.model.objects import Completion, Message, read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.tables import COLUMNS, COMPLETIONS, CONTENT_PARTS, MESSAGES
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.agreement import by_owner, has_mark, owners_that_differ, tables_agree

SLICE_BYTES: Final = 8 << 20  # of files, which take about four times their size in memory
DERIVED: Final = {
    COMPLETIONS: tuple(
        name
        for name in COLUMNS[COMPLETIONS]
        if name not in ("first_seen_at", "synced_at", "deleted_at", "run_id")
    ),
    MESSAGES: COLUMNS[MESSAGES],
    CONTENT_PARTS: COLUMNS[CONTENT_PARTS],
}
"""The columns that follow from what the API sent; the others say when and by which run it was
stored.
"""
ORDER: Final = {
    COMPLETIONS: ("completion_id",),
    MESSAGES: ("completion_id", "message_index"),
    CONTENT_PARTS: ("completion_id", "message_index", "part_index"),
}
_NEVER: Final = Observation("", 0, 0)
_PLACE: Final = {name: place for place, name in enumerate(COLUMNS[CONTENT_PARTS])}

RowsOf = dict[str, dict[str, list[dict[str, Any]]]]
"""Table -> completion id -> its rows, in order."""


@dataclass(slots=True)
class Slice:
    """Some completions of a partition with their messages and parts, as stored and as derived.

    `sizes`: SHA-256 -> bytes of the partition's images. `unreadable`: completion id -> why its
    stored objects cannot be read.
    """

    stored: dict[str, pa.Table]
    sizes: Mapping[str, int]
    unreadable: dict[str, str]

    def differing(self) -> tuple[list[str], RowsOf]:
        """Return the completions that need a closer look, with their stored rows.

        These are the ones that differ, and those that the lake knows to be incomplete.
        """
        derived = self._derived()
        known = {completion_id for completion_id, _, digest in self._heads() if digest is None}
        suspects = known | set(self.unreadable)
        whole = pa.array(sorted(suspects), pa.string())
        for table, rows in derived.items():
            stored = self.stored[table]
            if suspects:
                stored = stored.filter(pc.invert(pc.is_in(stored["completion_id"], whole)))
            if not tables_agree(stored, rows):
                suspects |= owners_that_differ(stored, rows)
        if not suspects:
            return [], {}
        chosen = pa.array(sorted(suspects), pa.string())
        return sorted(suspects), {
            table: by_owner(rows.filter(pc.is_in(rows["completion_id"], chosen)))
            for table, rows in self.stored.items()
        }

    def _heads(self) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        rows = self.stored[COMPLETIONS]
        for completion_id, raw, exact, digest in zip(
            *(to_values(rows[name]) for name in ("completion_id", "raw", "raw_exact", "digest")),
            strict=True,
        ):
            text = raw if exact is None else exact
            yield completion_id, None if text is None else text.encode(), digest

    def _derived(self) -> dict[str, pa.Table]:
        """Flatten the complete completions; unreadable ones go to `unreadable`."""
        sent: dict[str, list[str]] = {}
        echoes: dict[str, list[str]] = {}
        names = ("completion_id", "direction", "raw", "raw_exact", "echo_raw")
        columns = (to_values(self.stored[MESSAGES][name]) for name in names)
        for owner, direction, raw, exact, echo in zip(*columns, strict=True):
            if direction == INPUT:
                sent.setdefault(owner, []).append(raw if exact is None else exact)
            elif echo is not None:
                echoes.setdefault(owner, []).append(echo)
        rows: dict[str, list[Row]] = {table: [] for table in DERIVED}
        for completion_id, text, digest in self._heads():
            if digest is None:
                continue
            texts = [*sent.get(completion_id, ()), *echoes.get(completion_id, ())]
            try:
                completion, messages = read_stored(completion_id, text, texts)
            except InvalidResponseError as error:
                self.unreadable[completion_id] = error.message
                continue
            flat = flatten(completion, messages, _NEVER, digest=_digest(completion, digest))
            self._refer(flat)
            rows[COMPLETIONS].append(flat.completion)
            rows[MESSAGES] += flat.messages
            rows[CONTENT_PARTS] += flat.content_parts
        return {table: _table(table, found) for table, found in rows.items()}

    def _refer(self, flat: FlatCompletion) -> None:
        """Give parts whose image `raw` replaced by a reference the columns of that image."""
        url, size = _PLACE["image_url"], _PLACE["image_bytes"]
        for number, row in enumerate(flat.content_parts):
            reference = None if row[url] is None else read_reference(row[url])
            if reference is not None:
                values = list(row)
                values[url], values[_PLACE["image_sha256"]] = None, reference.sha256
                values[_PLACE["media_type"]] = reference.media_type
                values[size] = self.sizes.get(reference.sha256)
                flat.content_parts[number] = tuple(values)


def slices(
    storage: RereadingStorage,
    files: Sequence[PartFile],
    completion_ids: Collection[str],
    sizes: Mapping[str, int],
) -> Iterator[Slice]:
    """Yield completions of one partition in slices; `files`: all of the partition's.

    `sizes` as in `Slice`. LakeDamagedError if a file cannot be read.
    """
    ids = sorted(completion_ids)
    by_table = {table: [f for f in files if f.table == table] for table in DERIVED}
    octets = sum(file.bytes for found in by_table.values() for file in found)
    stored = max(1, sum(file.rows for file in by_table[COMPLETIONS]))
    step = max(1, SLICE_BYTES * stored // max(1, octets))
    for start in range(0, len(ids), step):
        chosen = pa.array(ids[start : start + step], pa.string())
        tables = {table: _read(storage, table, by_table[table], chosen) for table in DERIVED}
        yield Slice(tables, sizes, {})


def read_stored(
    completion_id: str, text: bytes | None, messages: Sequence[str]
) -> tuple[Completion, Sequence[Message]]:
    """Decode stored texts; InvalidResponseError if they are not what a backup stores."""
    if text is None:
        raise InvalidResponseError("raw is NULL")
    completion = read_completion(text)
    if completion.id != completion_id:
        raise InvalidResponseError(f"raw belongs to another completion: {completion.id}")
    page = b'{"data": [%b]}' % b", ".join(message.encode() for message in messages)
    return completion, read_message_page(page, completion_id).items


def _digest(completion: Completion, stored: bytes) -> bytes | None:
    # A text with references in place of images is not the text that was hashed.
    return stored if has_mark(completion.sent.text.decode()) else None


def _table(table: str, rows: list[Row]) -> pa.Table:
    if not rows:
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS[table]}
        return to_table(table, columns).select(list(DERIVED[table]))
    return to_table(table, columns_of(table, rows)).select(list(DERIVED[table]))


def _read(
    storage: RereadingStorage, table: str, files: Sequence[PartFile], chosen: pa.Array[Any]
) -> pa.Table:
    """Read the rows of these completions, in order."""
    names = list(DERIVED[table])
    found = [to_table(table, {name: [] for name in COLUMNS[table]}).select(names)]
    for file in files:
        with open_part(storage, file.path, size=file.bytes) as part:
            for group in range(part.num_row_groups):
                owners = part.read_row_group(group, columns=["completion_id"])["completion_id"]
                hits = pc.is_in(owners, value_set=chosen)
                if pc.any(hits).as_py():
                    found.append(part.read_row_group(group, columns=names).filter(hits))
    rows = pa.concat_tables(found)
    return rows.take(
        pc.sort_indices(
            rows.select(list(ORDER[table])),
            sort_keys=[(name, "ascending") for name in ORDER[table]],
        )
    )
