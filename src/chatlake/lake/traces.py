"""The traces of a lake whose commits are gone, so that no new one is silently created over it."""

from __future__ import annotations

from pathlib import Path

from chatlake.lake.catalog.opening import CATALOG, read_stamp
from chatlake.model.tables import COLUMNS
from chatlake.storage.interface import Storage
from chatlake.storage.local_copy import local_copy
from chatlake.storage.opening import storage_at


def traces_of_lake(location: str) -> str | None:
    """Return the trace of a lake at a place without commits; None if there is none.

    Files of a first run that was killed before its first commit do not count.
    """
    if "://" not in location and (link := _dangling(Path(location))) is not None:
        return f"{link} is a link to {link.readlink()}, which does not exist"
    storage = storage_at(location)
    with local_copy(storage, CATALOG) as path:
        stamp = None if path is None else read_stamp(path)
    if stamp is not None and stamp.number:
        return f"the catalogue there shows commit {stamp.number}, but its manifest is gone"
    return _data_alone(storage)


def _data_alone(storage: Storage) -> str | None:
    """Name a data file, except the empty ones, which a lake has from the start."""
    if next(storage.list("schema"), None) is not None:
        return None
    found = (next(storage.list(table), None) for table in COLUMNS)
    file = next((file for file in found if file is not None), None)
    return None if file is None else f"{file.path} exists, but no manifest lists it"


def _dangling(place: Path) -> Path | None:
    return next((p for p in (place, *place.parents) if p.is_symlink() and not p.exists()), None)
