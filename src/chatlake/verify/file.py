"""One part file compared with its manifest entry: bytes, footer, columns, rows, images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chatlake.errors import LakeDamagedError, LakeError, LakeForbiddenError
from chatlake.lake.files.parts import day_range, open_part
from chatlake.lake.files.replaced import open_listed, size_of_listed
from chatlake.lake.files.schema import SCHEMAS
from chatlake.model.counts import count
from chatlake.model.manifest import PartFile, format_time, parse_time
from chatlake.model.tables import (
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
    MISSED,
)
from chatlake.storage.rereading import ATTEMPTS, RereadingStorage, why
from chatlake.verify.findings import (
    ALLOW,
    RESTORE_OR_FETCH,
    RESTORE_OR_FETCH_MISSING,
    Finding,
    FindingKind,
    split_message,
)

KEY_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    COMPLETIONS: ("completion_id", "message_count", "image_count", "run_id", "digest"),
    MESSAGES: ("completion_id", "message_id", "part_count"),
    CONTENT_PARTS: ("completion_id", "message_id", "part_index", "type", "image_sha256"),
    IMAGES: ("sha256", "byte_size"),
    HISTORY: ("completion_id",),
    MESSAGE_HISTORY: ("completion_id", "message_id", "observed_at"),
    MISSED: ("completion_id",),
}
"""The columns by which the rows of the tables belong together."""

_CHUNK: Final = 1 << 20


class FileProblemError(Exception):
    """A file is not what the manifest says."""

    def __init__(self, kind: FindingKind, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind


def check_bytes(
    storage: RereadingStorage, file: PartFile, on_bytes: Callable[[int], None]
) -> Finding | None:
    """Read the whole file and compare size and SHA-256; `on_bytes` gets the number of bytes read.

    If they differ, the file is read again, up to three times in all: a temporary fault is not
    damage.
    """
    if not file.path.startswith(f"{file.table}/{file.partition.folder}/"):
        problem = f"the manifest lists it for {file.table}, {file.partition.folder}"
        return _finding(file, "misplaced", problem)
    finding: Finding | None = None
    read = 0
    for attempt in range(ATTEMPTS):
        if attempt:
            on_bytes(-read)
            storage.pause()
        read = 0
        digest = hashlib.sha256()
        try:
            with open_listed(storage, file.path) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    read += len(chunk)
                    on_bytes(len(chunk))
        except FileNotFoundError:
            return missing(file)
        except (
            LakeForbiddenError,
            LakeDamagedError,
        ) as error:  # the storage has tried again if that helps
            return _unreadable(storage, file, error)
        except (OSError, LakeError) as error:
            finding = _finding(file, "unreadable", f"cannot be read: {why(error)}")
            continue
        if read != file.bytes:
            problem = f"has {count(read, 'byte')}, the manifest says {file.bytes:,}"
            finding = _finding(file, "size", problem)
        elif digest.hexdigest() != file.sha256:
            finding = _finding(file, "altered", "was altered: its SHA-256 is not the manifest's")
        else:
            return None
    return finding


def read_keys(
    storage: RereadingStorage, file: PartFile, *, check_images: bool
) -> pa.Table | Finding:
    """Compare columns, rows and times of the file with the manifest; return its `KEY_COLUMNS`.

    With `check_images`, also check the bytes of every image, row group by row group.
    """
    for left in reversed(range(ATTEMPTS)):
        try:
            with open_part(storage, file.path, size=file.bytes) as part:
                _check_shape(part, file)
                if check_images and file.table == IMAGES:
                    _check_images(part)
                return _checked_keys(part, file)
        except FileProblemError as error:
            return _finding(file, error.kind, str(error))
        except LakeDamagedError as error:
            if size_of_listed(storage, file.path) is None:
                return missing(file)
            if not left:
                path, problem = split_message(storage, error.message)
                return Finding(path, problem, RESTORE_OR_FETCH, "unreadable")
        storage.pause()
    raise AssertionError("unreachable")


def missing(file: PartFile) -> Finding:
    """Return the finding of a missing listed file."""
    problem = f"is missing; it held {count(file.rows, 'row')}"
    return Finding(file.path, problem, RESTORE_OR_FETCH_MISSING, "missing")


def differing_columns(found: pa.Schema, expected: pa.Schema) -> str | None:
    """Return how the columns of a file differ from its table's; None if they do not."""
    if found.equals(expected):
        return None
    lacking = [name for name in expected.names if name not in found.names]
    unknown = [name for name in found.names if name not in expected.names]
    if lacking or unknown:
        words = [f"lacks {', '.join(lacking)}"] * bool(lacking)
        words += [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        return " and ".join(words)
    for name in expected.names:
        if found.field(name).type != expected.field(name).type:
            return f"{name} is {found.field(name).type}, not {expected.field(name).type}"
    return "are in another order, or some may not be NULL"


def _check_shape(part: pq.ParquetFile, file: PartFile) -> None:
    differing = differing_columns(part.schema_arrow, SCHEMAS[file.table])
    if differing is not None:
        raise FileProblemError("schema", f"does not have the columns of {file.table}: {differing}")
    if part.metadata.num_rows != file.rows:
        rows = f"has {count(part.metadata.num_rows, 'row')}, the manifest says {file.rows:,}"
        raise FileProblemError("rows", rows)


def _checked_keys(part: pq.ParquetFile, file: PartFile) -> pa.Table:
    names = KEY_COLUMNS[file.table]
    first, last = day_range(file.partition)
    low, high = _moment(file.min_created_at), _moment(file.max_created_at)
    if not (first <= low <= high <= last):
        raise FileProblemError("range", "its range in the manifest is not within its day")
    if "created_at" not in SCHEMAS[file.table].names:
        return part.read(columns=list(names))
    rows = part.read(columns=[*names, "created_at"])
    span: Any = pc.min_max(rows["created_at"]).as_py()
    if span["min"] is not None and not (low <= span["min"] and span["max"] <= high):
        raise FileProblemError(
            "range",
            f"holds rows created from {format_time(span['min'])} to {format_time(span['max'])}, "
            f"outside the range {file.min_created_at} to {file.max_created_at} in the manifest",
        )
    return rows.select(list(names))


def _check_images(part: pq.ParquetFile) -> None:
    for index in range(part.num_row_groups):
        rows = part.read_row_group(index, columns=["sha256", "byte_size", "data"])
        for sha256, size, data in zip(*(rows[name] for name in rows.column_names), strict=True):
            buffer = data.as_buffer()
            if buffer is None or hashlib.sha256(buffer).hexdigest() != sha256.as_py():
                raise FileProblemError(
                    "image", f"the bytes of image {sha256} do not match its SHA-256"
                )
            if buffer.size != size.as_py():
                raise FileProblemError(
                    "image", f"the size of image {sha256} differs from byte_size"
                )


def _unreadable(
    storage: RereadingStorage, file: PartFile, error: LakeForbiddenError | LakeDamagedError
) -> Finding:
    if isinstance(error, LakeForbiddenError):
        return Finding(file.path, f"cannot be read: {why(error)}", ALLOW, "forbidden")
    return Finding(*split_message(storage, error.message), RESTORE_OR_FETCH, "unreadable")


def _finding(file: PartFile, kind: FindingKind, problem: str) -> Finding:
    return Finding(file.path, problem, RESTORE_OR_FETCH, kind)


def _moment(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        raise FileProblemError("range", f"the manifest has no time: {text!r}") from None
