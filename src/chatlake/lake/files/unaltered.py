"""Part files whose rows are passed on: hashed first, so that no altered byte gets a valid hash."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, cast

import pyarrow.parquet as pq

from chatlake.errors import LakeDamagedError, LakeUnwritableError
from chatlake.lake.files.parts import open_part
from chatlake.lake.files.replaced import open_listed, read_listed
from chatlake.model.manifest import PartFile
from chatlake.storage.file_errors import too_many_open
from chatlake.storage.interface import READ_AHEAD_BYTES, Storage

_CHUNK_BYTES: Final = 1 << 20


@contextmanager
def open_unaltered(storage: Storage, file: PartFile) -> Iterator[pq.ParquetFile]:
    """Open a part file after checking that its bytes are those that were committed.

    From a bucket it is fetched once, into memory or a temporary file. LakeDamagedError names the
    file if it is missing or altered; LakeUnwritableError if there is no room for a temporary file.
    """
    if storage.local_path(file.path) is not None:
        require_unaltered(storage, file)
        with open_part(storage, file.path) as part:
            yield part
        return
    with tempfile.SpooledTemporaryFile(READ_AHEAD_BYTES, prefix="chatlake-") as spooled:
        copy = cast("BinaryIO", spooled)
        try:
            require_unaltered(storage, file, copy)
        except OSError as error:
            raise LakeUnwritableError(
                f"Cannot copy {storage.location}/{file.path} into a temporary file: "
                f"{error.strerror or error}",
                hint=f"Free space in {tempfile.gettempdir()}, or set TMPDIR to another folder.",
            ) from error
        with open_part(storage, file.path, copy) as part:
            yield part


def require_unaltered(storage: Storage, file: PartFile, copy: BinaryIO | None = None) -> None:
    """LakeDamagedError, naming the file, if its bytes are not those that were committed.

    `copy` gets all of them; OSError if it cannot.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(storage, file):
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise LakeDamagedError(
            f"{storage.location}/{file.path} was altered: its SHA-256 is not the one committed"
        )


def _chunks(storage: Storage, file: PartFile) -> Iterator[bytes]:
    try:
        if file.bytes <= READ_AHEAD_BYTES:
            yield read_listed(storage, file.path)  # without asking for its size first
            return
        with open_listed(storage, file.path) as data:
            while chunk := data.read(_CHUNK_BYTES):
                yield chunk
    except FileNotFoundError as error:
        raise LakeDamagedError(f"{storage.location}/{file.path} is missing") from error
    except OSError as error:
        if limit := too_many_open(error):
            raise limit from error
        why = error.strerror or error
        raise LakeDamagedError(f"{storage.location}/{file.path} cannot be read: {why}") from error
