"""Where an export of many files is written: a folder that appears when it is complete."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from chatlake.errors import ChatlakeError, UsageError
from chatlake.exports.destination import STDOUT, folder_beside
from chatlake.exports.report import report_path

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME: Final = 120
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any ending."""


@contextmanager
def open_folder(output: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a folder to write to; it replaces `output` when the block ends without error.

    An earlier export there is replaced; any other non-empty folder is left alone.
    UsageError where `output` cannot be written, ChatlakeError where writing fails.
    """
    target = Path(os.path.realpath(output))
    if os.fspath(output) == STDOUT:
        raise UsageError("this format writes a folder, not a stream", hint="Give --output FOLDER.")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{output} is a file", hint="Name a folder with --output.")
    if target.is_dir() and any(target.iterdir()) and not report_path(target).is_file():
        raise UsageError(
            f"{output} contains files that are not a chatlake export",
            hint="Give a new or an empty folder with --output.",
        )
    with folder_beside(target) as temporary:
        made = Path(temporary) / "made"
        try:
            made.mkdir()
            yield made
            _put_in_place(made, target, Path(temporary))
        except OSError as error:
            raise ChatlakeError(
                f"cannot write {output}: {error.strerror or error}",
                hint="Free space or choose another place with --output, then run again.",
            ) from error


def _put_in_place(made: Path, target: Path, temporary: Path) -> None:
    if target.exists():
        target.rename(temporary / f"old-{uuid.uuid4()}")
    made.rename(target)


def safe_name(text: str) -> str:
    """Return a file name for an id: the id itself if it is harmless, else a name with its hash.

    Harmless means that no system takes it for a path, a hidden file, an option or a device.
    """
    plain = _UNSAFE.sub("_", text)
    bare = plain[:_LONGEST_NAME].strip(".-")
    if _DEVICE.fullmatch(bare):
        bare = f"id-{bare}"
    if text and bare == text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return f"{bare or 'id'}-{digest}"


def write_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)


def entries(folder: Path, below: str = "") -> Iterator[dict[str, Any]]:
    """Yield what the report says of a folder's files: path in it, bytes, SHA-256."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from entries(path, f"{below}{path.name}/")
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield {"path": f"{below}{path.name}", "bytes": path.stat().st_size, "sha256": digest}
