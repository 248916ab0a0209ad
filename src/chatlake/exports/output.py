"""Where an export is written: a file that appears when it is whole, or a stream."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from chatlake.errors import ChatlakeError, UsageError

STDOUT = "-"


@contextmanager
def open_export(output: str | os.PathLike[str] | None) -> Iterator[BinaryIO]:
    """Open an export to write: a path; None or `-` for standard output.

    A file is written beside, under a temporary name that only its owner may read, and takes the
    place of an older one when the block ends well; else nothing is left of it. Devices and pipes
    are written to directly. UsageError where the path cannot be written, ChatlakeError where
    writing fails (disk full); a BrokenPipeError goes through: the reader has seen enough.
    """
    try:
        if output is None or os.fspath(output) == STDOUT:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        path = Path(os.path.realpath(output))  # a link stays, what it points to is replaced
        if path.is_dir():
            raise UsageError(f"{output} is a folder", hint="Name a file with --output.")
        is_special = path.exists() and not path.is_file()
        with path.open("wb") if is_special else _beside(path) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ChatlakeError(
            f"cannot write {output or STDOUT}: {error.strerror or error}",
            hint="Free space or choose another place with --output, then run again.",
        ) from error


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    try:
        handle, name = tempfile.mkstemp(prefix="_", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise UsageError(
            f"cannot write to {path.parent}: {error.strerror or error}",
            hint="Choose another place with --output.",
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
