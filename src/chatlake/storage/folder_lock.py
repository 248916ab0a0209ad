"""The lock of a lake in a folder: `flock` on `.lock`, which the kernel frees when its holder dies.

The file names the process that holds the lock, for the message to a second one. It is never
removed: if a process still locked a removed file, another one could lock a new file. Only the owner
may open it, whatever `access` says, because anyone who can read a file can lock it and so block
every backup. Readers of the group see the writing process in `.writer`.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from chatlake.errors import LakeLockedError
from chatlake.storage.interface import LockHolder

# This covers two short waits: a process that only looks (`holder`) has the lock for microseconds,
# and a holder writes its name just after it gets the lock.
_TRIES: Final = 10
_PAUSE_S: Final = 0.01

_OWNER_ONLY: Final = 0o600
_WRITER: Final = ".writer"

_held: set[int] = set()


def _let_go_in_child() -> None:
    # A forked child shares the open file, so its copy would keep the lock after the parent's death.
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


class LocalLock:
    """A lock that is held. The descriptor is closed on exec and in forked children."""

    def __init__(self, descriptor: int, writer: Path | None = None) -> None:
        self._descriptor = descriptor
        self._writer = writer
        self._process = os.getpid()
        _held.add(descriptor)

    @classmethod
    def take(cls, path: Path, holder: LockHolder, mode: int) -> LocalLock:
        """Take the lock and write down the holder. LakeLockedError, naming its holder, or OSError.

        `mode`: of the file that shows others who is writing, if others may read.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        text = msgspec.json.encode(holder) + b"\n"
        writer = path.with_name(_WRITER) if mode & ~_OWNER_ONLY else None
        try:
            _narrow(descriptor)
            _lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text, 0)
            if writer is not None:
                _tell(writer, text, mode)
        except BlockingIOError:
            os.close(descriptor)
            other = _wait_for_name(path)
            who = str(other) if other else "another process"
            raise LakeLockedError(f"{path.parent} is being written by {who}") from None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, writer)

    def is_at(self, path: Path) -> bool:
        """Say whether the file at `path` is still the one that is locked.

        A forked child, whose copy is closed, cannot know, and leaves it to its parent.
        """
        if self._process != os.getpid():
            return True
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def release(self) -> None:
        """Release the lock; nothing happens in a forked child, which does not hold it."""
        if self._process != os.getpid():
            return
        _held.discard(self._descriptor)
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            if self._writer is not None:
                os.truncate(self._writer, 0)
        os.close(self._descriptor)

    @staticmethod
    def holder(path: Path) -> LockHolder | None:
        """Return the holder of the lock at `path`; None if it is free. Raises OSError."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except PermissionError:
            return _recorded_writer(path.with_name(_WRITER))
        try:
            # Shared and released at once, so two processes that only look do not refuse each other.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _wait_for_name(path) or LockHolder("unknown host", 0, "an unknown time")
        finally:
            os.close(descriptor)
        return None


def _narrow(descriptor: int) -> None:
    """Make an older version's lock file inaccessible to users who may only read the lake."""
    with suppress(PermissionError):
        if os.fstat(descriptor).st_mode & 0o777 & ~_OWNER_ONLY:
            os.fchmod(descriptor, _OWNER_ONLY)


def _tell(path: Path, text: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


def _recorded_writer(path: Path) -> LockHolder | None:
    """Return the recorded writer, unless that process was on this machine and is dead."""
    try:
        holder = msgspec.json.decode(path.read_bytes(), type=LockHolder)
    except (OSError, msgspec.DecodeError):
        return None
    if holder.host != socket.gethostname():
        return holder
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it is alive and belongs to another user
        pass
    return holder


def _lock(descriptor: int) -> None:
    for left in reversed(range(_TRIES)):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
        time.sleep(_PAUSE_S)
    return None


def _wait_for_name(path: Path) -> LockHolder | None:
    for _ in range(_TRIES):
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(path.read_bytes(), type=LockHolder)
        time.sleep(_PAUSE_S)
    return None
