"""Where the tests write: in memory, where the machine has enough of it.

A backup waits for the disk some fifty times (`fsync`), and no test can tell whether it did: that
takes a power cut. On a disk that others use too, this is most of the time that the tests take.
Set `TMPDIR` to have their files somewhere else.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")
_NEEDED = 4 << 30
_PREFIX = "chatl-"  # short: a cluster puts sockets below it, whose paths have 107 bytes at most


def use_memory() -> None:
    """Let this process and those that it starts have their temporary files in memory."""
    if "TMPDIR" in os.environ or not _has_room():
        return
    _remove_left_over()
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_IN_MEMORY)
    atexit.register(_remove, os.getpid(), folder)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None  # asked for before: look again


def _has_room() -> bool:
    try:
        available = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
        room = shutil.disk_usage(_IN_MEMORY).free
    except OSError:
        return False
    return available is not None and min(room, int(available[1]) << 10) >= _NEEDED


def _remove_left_over() -> None:
    """Remove the files of test runs that were killed: memory is not freed by itself."""
    for folder in _IN_MEMORY.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _remove(owner: int, folder: str) -> None:
    if os.getpid() == owner:  # not a process that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
