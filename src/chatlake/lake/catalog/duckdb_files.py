"""DuckDB connections that read a lake in any storage, and the errors of reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn

from chatlake.errors import (
    LakeDamagedError,
    LakeError,
    LakeUnreachableError,
    RunInterruptedError,
    RunTerminatedError,
)
from chatlake.model.manifest import PartFile
from chatlake.storage.file_errors import too_many_open
from chatlake.storage.interface import Storage

if TYPE_CHECKING:
    import duckdb

# Python 3.13 names the module before the class, and leaves out the colon where there is no message.
_STOPPED: Final = re.compile(
    r"^(?:\w+\.)*(KeyboardInterrupt|SystemExit|Run(?:Interrupted|Terminated)Error)(?:: ?(.*))?$",
    re.MULTILINE,
)
# When confined, DuckDB takes a missing file for a folder, which it may not open.
_MISSED: Final = re.compile(
    r"\.parquet.*No such file|No files found.*\.parquet|\.parquet/\*\*/\*\.parquet", re.DOTALL
)
_RAISED: Final = re.compile(r"(?:^|[\s.])(Lake\w*Error): ([^\n]+)")


def let_read(
    connection: duckdb.DuckDBPyConnection,
    storage: Storage,
    known: Mapping[str, bytes] | None = None,
    listed: Mapping[str, PartFile] | None = None,
) -> None:
    """Let a connection read the files of a storage that DuckDB does not read by itself.

    `known`, `listed`: see `LakeFiles`.
    """
    if storage.local_path("lake") is None and storage.url("lake") is not None:
        from chatlake.lake.catalog.lake_files import LakeFiles  # noqa: PLC0415 - fsspec is only for buckets

        connection.register_filesystem(LakeFiles(storage, known, listed))


def has_moved(error: Exception, location: str) -> bool:
    """Say whether DuckDB missed a file of the lake at `location`, which may have been replaced.

    When a run ends, it moves replaced files, and an older catalogue names them at their old paths.
    If the lake is opened again, it names the new paths; lost files are then missed again.
    """
    text = str(error).partition("\n\nLINE")[0]
    return location in text and _MISSED.search(text) is not None


def raised_while_reading(error: Exception) -> LakeError | None:
    """Return the LakeError that these files raised while DuckDB read them; None if there is none.

    DuckDB keeps only the text. What a signal handler raised there is raised again: as an error of
    the lake it would not end the command.
    """
    if stopped := _STOPPED.search(str(error)):
        _stop(stopped[1], stopped[2] or "")
    if limit := too_many_open(error):
        return limit
    found = _RAISED.findall(str(error))
    if not found:
        return None
    name, message = found[-1]
    kinds = {kind.__name__: kind for kind in (LakeDamagedError, LakeUnreachableError)}
    return kinds.get(name, LakeError)(message)


def _stop(name: str, message: str) -> NoReturn:
    match name:
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "SystemExit":
            raise SystemExit(int(message) if message.isdigit() else message)
        case "RunTerminatedError":
            raise RunTerminatedError(message)
        case _:
            raise RunInterruptedError(message)
