"""Where an export is written: a file that appears when it is whole, or a stream."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from chatlake.errors import ChatlakeError, UsageError
from chatlake.model.terminal_text import Terminal

STDOUT = "-"


@contextmanager
def open_export(output: str | os.PathLike[str] | None, *, is_json: bool) -> Iterator[BinaryIO]:
    """Open an export to write: a path; None or `-` for standard output.

    What is written is exact, but on a terminal: there what it would obey is escaped, as JSON does
    it where `is_json`.

    A file is written beside, under a temporary name that only its owner may read, and takes the
    place of an older one when the block ends well; else nothing is left of it. Devices and pipes
    are written to directly. UsageError where the path cannot be written, ChatlakeError where
    writing fails (disk full); a BrokenPipeError goes through: the reader has seen enough.
    """
    try:
        if output is None or os.fspath(output) == STDOUT:
            with _shown(sys.stdout.buffer, is_json=is_json) as stream:
                yield stream
                stream.flush()
            return
        path = Path(os.path.realpath(output))  # a link stays, what it points to is replaced
        if path.is_dir():
            raise UsageError(f"{output} is a folder", hint="Name a file with --output.")
        is_special = path.exists() and not path.is_file()
        with (
            path.open("wb") if is_special else _beside(path) as file,
            _shown(file, is_json=is_json) as stream,
        ):
            yield stream
            stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ChatlakeError(
            f"cannot write {output or STDOUT}: {error.strerror or error}",
            hint="Free space or choose another place with --output, then run again.",
        ) from error


@contextmanager
def _shown(stream: BinaryIO, *, is_json: bool) -> Iterator[BinaryIO]:
    yield cast("BinaryIO", Terminal(stream, is_json=is_json)) if stream.isatty() else stream


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
