"""Too many open files: a limit of this process or machine, not damage of a lake."""

from __future__ import annotations

import errno
from typing import Final

from chatlake.errors import OpenFilesError

_LIMITS: Final = {errno.EMFILE, errno.ENFILE}
_TEXT: Final = "Too many open files"
"""DuckDB and Arrow keep only the system's message for it."""


def too_many_open(error: BaseException) -> OpenFilesError | None:
    """Return the error to raise if an error or its cause means that too many files are open."""
    for found in (error, error.__cause__):
        if isinstance(found, OpenFilesError):
            return found
        if (isinstance(found, OSError) and found.errno in _LIMITS) or _TEXT in str(found):
            return OpenFilesError("Too many files are open: the lake cannot be read or written")
    return None
