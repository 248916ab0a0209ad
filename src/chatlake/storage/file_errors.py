"""Errors of the operating system as errors of a lake, with their remedy.

Too many open files are a limit of this process or machine, not damage of a lake.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chatlake.errors import (
    LakeError,
    LakeForbiddenError,
    LakeUnwritableError,
    OpenFilesError,
)

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LIMITS: Final = {errno.EMFILE, errno.ENFILE}
_TEXT: Final = "Too many open files"
"""DuckDB and Arrow keep only the system's message of these errors, not their number."""


def too_many_open(error: BaseException) -> OpenFilesError | None:
    """Return the error to raise if an error or its cause means that too many files are open."""
    for found in (error, error.__cause__):
        if isinstance(found, OpenFilesError):
            return found
        if (isinstance(found, OSError) and found.errno in _LIMITS) or _TEXT in str(found):
            return OpenFilesError("Too many files are open: the lake cannot be read or written")
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise LakeUnwritableError or OpenFilesError if the block, which writes, raises OSError."""
    try:
        yield
    except OSError as error:
        if limit := too_many_open(error):
            raise limit from error
        place = error.filename or path
        hint = None
        if error.errno in _FULL:
            hint = (
                "Free space (or raise the quota) there, then run again; what was committed stays."
            )
        elif error.errno in {errno.EACCES, errno.EPERM}:
            hint = "Give this user permission to write there, then run again."
        elif error.errno == errno.ENOTDIR:
            hint = "Name a folder as `lake` in the configuration."
        elif error.errno == errno.EROFS:
            hint = "Mount the file system writable, or put the lake elsewhere."
        raise LakeUnwritableError(
            f"Cannot write {place}: {error.strerror or error}", hint=hint
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise LakeForbiddenError, OpenFilesError or LakeError if the block raises OSError.

    `path`: what the block reads. FileNotFoundError passes through.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if limit := too_many_open(error):
            raise limit from error
        place = error.filename or path
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise LakeForbiddenError(f"Cannot read {place}: {error.strerror}") from error
        raise LakeError(
            f"Cannot read {place}: {error.strerror or error}",
            hint="Name a folder as `lake` in the configuration."
            if error.errno == errno.ENOTDIR
            else "Check the disk.",
        ) from error
