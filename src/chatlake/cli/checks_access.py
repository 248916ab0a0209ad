"""The checks of `chatlake doctor` that look at who may read and write the files of a lake."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chatlake.cli.checks import Check, passed, warning
from chatlake.model.counts import count
from chatlake.storage.folder import Access

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ: Final = stat.S_IRWXG | stat.S_IRWXO
_OWNERS: Final = frozenset({".lock", "verified.json"})
"""Files that the group need not read, whatever `access` says."""


def access_checks(place: Path, access: Access) -> Iterator[Check]:
    """Compare the modes of a lake's files with `access`, which applies only to new files.

    Anyone who can write to a lake can change a backup together with its hashes.
    """
    modes = dict(_modes(place))
    written = [path for path, mode in modes.items() if mode & _OTHERS_WRITE]
    if written:
        yield warning(
            "access",
            f"others can write to {_first_of(written, place)}: they can change backups unnoticed",
            f"chmod -R go-w {shlex.quote(str(place))}",
        )
    if access == "private":
        odd = [path for path, mode in modes.items() if mode & _OTHERS_READ & ~_OTHERS_WRITE]
        problem, remedy = "others can read", "chmod -R go-rwx"
    else:
        odd = [
            path
            for path, mode in modes.items()
            if path.name not in _OWNERS and not _group_reads(mode)
        ]
        problem, remedy = "the group cannot read", "chmod -R g+rX"
    if odd:
        # The remedy opens the lock file too; the next backup takes that back (`folder_lock`).
        yield warning(
            "access",
            f"access is {access}, but {problem} {_first_of(odd, place)} "
            "(`access` sets the modes of new files only)",
            f"{remedy} {shlex.quote(str(place))}",
        )
    if not (written or odd):
        yield passed("access", access)


def _group_reads(mode: int) -> bool:
    needed = stat.S_IRGRP | (stat.S_IXGRP if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed


def _first_of(paths: list[Path], place: Path) -> str:
    """Return the first path as seen from the lake's place, and how many others there are."""
    first = min(paths)
    name = str(first if first == place else first.relative_to(place))
    more = len(paths) - 1
    return name + (f" and {count(more, 'more file')}" if more else "")


def _modes(place: Path) -> Iterator[tuple[Path, int]]:
    """Yield the mode of the lake and of everything in it that can be looked at."""
    yield place, place.stat().st_mode
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = Path(folder) / name
            try:
                mode = path.lstat().st_mode
            except OSError:  # removed meanwhile
                continue
            if not stat.S_ISLNK(mode):
                yield path, mode
