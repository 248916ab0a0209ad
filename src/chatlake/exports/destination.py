"""Where an export is written: a file that appears when it is complete, or a stream."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, cast

from chatlake.errors import ChatlakeError, UsageError
from chatlake.model.terminal_text import Terminal

STDOUT = "-"

_PREFIX: Final = "_chatlake-"
_SUFFIX: Final = ".tmp"
_DESCRIPTOR: Final = re.compile(r"/dev/fd/(\d+)|/proc/(?:self|thread-self|(\d+))/fd/(\d+)")
_STANDARD: Final = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_LINKS: Final = 40
_NO_UNNAMED_FILES: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}


@contextmanager
def open_export(output: str | os.PathLike[str] | None, *, is_json: bool) -> Iterator[BinaryIO]:
    """Open an export to write: a path; None or `-` for standard output.

    The output is exact, except on a terminal, where control characters are escaped (as JSON escapes
    if `is_json`). A file has no name, or a temporary name, and only its owner may read it. It
    replaces an older file when the block ends without error; otherwise nothing is left of it.
    Devices, pipes and what the process has open (`/dev/stdout`, `/dev/fd/3`) are written to
    directly. Raises UsageError if the path cannot be written, ChatlakeError if writing fails (disk
    full). A BrokenPipeError passes through: the reader has seen enough.
    """
    try:
        if output is None or os.fspath(output) == STDOUT:
            with _shown(sys.stdout.buffer, is_json=is_json) as stream:
                yield stream
                stream.flush()
            return
        with _opened(output) as file, _shown(file, is_json=is_json) as stream:
            yield stream
            stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        to_stream = output is None or os.fspath(output) == STDOUT
        raise ChatlakeError(
            f"cannot write {'standard output' if to_stream else output}: {error.strerror or error}",
            hint="Free space or choose another place with --output, then run again.",
        ) from error


@contextmanager
def _shown(stream: BinaryIO, *, is_json: bool) -> Iterator[BinaryIO]:
    yield cast("BinaryIO", Terminal(stream, is_json=is_json)) if stream.isatty() else stream


@contextmanager
def folder_beside(output: str | os.PathLike[str] | None) -> Iterator[str]:
    """Give a private temporary folder, next to the output file, where there is room for the result.

    It is removed at the end of the block; folders left by killed processes are removed now.
    UsageError if no folder can be created there.
    """
    place = None
    if output is not None and not is_stream(output):
        place = Path(os.path.realpath(output)).parent
        _remove_stale(place)
    try:
        folder = tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=place)
    except OSError as error:
        raise _unwritable(place or Path(tempfile.gettempdir()), error) from error
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _claim(handle)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _opened(output: str | os.PathLike[str]) -> AbstractContextManager[BinaryIO]:
    number = _descriptor(output)
    if number is not None:
        try:
            # Opened by name, a file would be written from its start again, and a socket not at all.
            return os.fdopen(os.dup(number), "wb")
        except OSError as error:
            raise UsageError(
                f"cannot write to {output}: {error.strerror or error}",
                hint="Name a file, or a descriptor that is open to write.",
            ) from error
    path = Path(os.path.realpath(output))  # a link stays; its target is replaced
    if path.is_dir():
        raise UsageError(f"{output} is a folder", hint="Name a file with --output.")
    if path.exists() and not path.is_file():
        return path.open("wb")
    return _beside(path)


def is_stream(output: str | os.PathLike[str]) -> bool:
    """Say whether the output is something that exists and is neither a file nor a folder."""
    path = Path(output)
    return (
        os.fspath(output) == STDOUT
        or _descriptor(output) is not None
        or (path.exists() and not path.is_file() and not path.is_dir())
    )


def _descriptor(output: str | os.PathLike[str]) -> int | None:
    """Return the open descriptor of this process that a path names, also through links."""
    path = Path(output).absolute()
    for _ in range(_LINKS):
        name = os.path.normpath(path)
        if name in _STANDARD:
            return _STANDARD[name]
        if match := _DESCRIPTOR.fullmatch(name):
            other = match[2]
            return int(match[1] or match[3]) if other in (None, str(os.getpid())) else None
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    _remove_stale(path.parent)
    try:
        handle, temporary = _new_file(path.parent)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            _claim(handle)
            yield file
            file.flush()
            os.fsync(handle)
            if temporary is None:
                temporary = _give_name(handle, path.parent)
            temporary.replace(path)
    finally:
        if temporary is not None:
            with suppress(FileNotFoundError):
                temporary.unlink()


def _new_file(folder: Path) -> tuple[int, Path | None]:
    """Open a file that only its owner may read; without a name if the system supports that."""
    unnamed = getattr(os, "O_TMPFILE", None)
    if unnamed is not None and Path("/proc/self/fd").is_dir():
        try:
            return os.open(folder, unnamed | os.O_WRONLY | os.O_CLOEXEC, 0o600), None
        except OSError as error:
            if error.errno not in _NO_UNNAMED_FILES:
                raise
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=folder)
    return handle, Path(name)


def _give_name(handle: int, folder: Path) -> Path:
    """Give a file without a name a temporary one: only a rename can replace an existing file."""
    name = f"{_PREFIX}{uuid.uuid4()}{_SUFFIX}"
    target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a folder's descriptor Python calls linkat, which follows the link in /proc.
        os.link(f"/proc/self/fd/{handle}", name, dst_dir_fd=target, follow_symlinks=True)
    finally:
        os.close(target)
    return folder / name


def _claim(handle: int) -> None:
    """Mark a temporary file or folder as in use; the mark ends with the process."""
    with suppress(OSError):  # some file systems have no locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_stale(folder: Path) -> None:
    """Remove what killed processes left in a folder: files that no process marks as in use."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                _remove_unclaimed(Path(entry.path))


def _remove_unclaimed(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        finally:
            os.close(handle)


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write to {folder}: {error.strerror or error}",
        hint="Choose another place with --output.",
    )
