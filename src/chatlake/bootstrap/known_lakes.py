"""Remembers, outside the lake, that it exists: a disk that is not mounted looks like no lake.

One small file for each lake, in the user's state folder (`$XDG_STATE_HOME`, by default
`~/.local/state`; `CHATLAKE_STATE` names another). The note is optional: if it cannot be written or
read, a backup continues without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from chatlake.bootstrap.opened import open_lake
from chatlake.config import Settings
from chatlake.errors import LakeMissingError, LakeNotFoundError
from chatlake.lake.lake import Lake
from chatlake.lake.traces import traces_of_lake

VARIABLE: Final = "CHATLAKE_STATE"


class _Known(msgspec.Struct):
    """A lake that was seen.

    `seen_at`: seconds since 1970; `commits`: the number of its newest commit.
    """

    lake: str
    config: str
    seen_at: float
    commits: int


def remember_lake(settings: Settings, commits: int) -> None:
    """Note that the configured lake exists.

    Also remove the notes of configurations that no longer exist.
    """
    known = _Known(settings.lake_location, str(settings.path), time.time(), commits)
    with contextlib.suppress(OSError, RuntimeError):
        folder = state_folder() / "lakes"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in folder.glob("*.json"):
            note = _read(other)
            if note is None or not Path(note.config).exists():
                other.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(known))
        Path(name).replace(folder / _name(known.lake))


def require_no_earlier_lake(settings: Settings) -> None:
    """Raise LakeMissingError if there are signs of an earlier lake at the configured place.

    The caller has found none there, or one without a commit. A note older than the configuration
    file does not count: the file may have been written for another lake of the same name.
    """
    place = settings.lake_location
    trace = traces_of_lake(place)
    if trace is None:
        with contextlib.suppress(OSError, RuntimeError):
            note = _read(state_folder() / "lakes" / _name(place))
            if note is not None and note.seen_at > settings.path.stat().st_ctime:
                when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(note.seen_at))
                trace = f"the backup of {when} left it at commit {note.commits}"
    if trace is not None:
        raise LakeMissingError(f"The lake at {place} is missing: {trace}")


def find_lake(settings: Settings) -> Lake | None:
    """Open the configured lake; None if there is none and there are no signs of an earlier one.

    Raises LakeMissingError if there are such signs, and any error of opening.
    """
    try:
        lake = open_lake(settings)
    except LakeNotFoundError:
        lake = None
    if lake is None or not lake.state.number:
        require_no_earlier_lake(settings)
    return lake


def state_folder() -> Path:
    """Return the user's folder for what chatlake remembers. RuntimeError without a home."""
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own)
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    return state / "chatlake"


def _name(location: str) -> str:
    return f"{hashlib.sha256(location.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> _Known | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Known)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
