"""Vacuum: removes files that no reader can need any more.

Two times matter, and both must be old enough. A file that was written recently may belong to a
commit that is still to come. A file that was replaced recently may still be read through an older
catalogue. A time in the future (from a clock that was ahead) is not old enough either. Manifests
are never removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chatlake import failpoints
from chatlake.lake import manifests
from chatlake.lake.files.replaced import listed_path
from chatlake.lake.lake import Lake
from chatlake.model.tables import COLUMNS
from chatlake.storage.interface import TEMPORARY_SUFFIX, Storage, StoredFile

_OURS = (".parquet", TEMPORARY_SUFFIX)


@dataclass(slots=True)
class Unlisted:
    """The files that the newest manifest does not list: those to remove, and those to keep."""

    removable: list[StoredFile] = field(default_factory=list)
    kept: list[StoredFile] = field(default_factory=list)

    @property
    def is_tidy(self) -> bool:
        """Whether no unlisted Parquet file lies in a table's folder, where a glob counts it."""
        return not any(
            file.path.partition("/")[0] in COLUMNS and file.path.endswith(".parquet")
            for file in (*self.removable, *self.kept)
        )


def find_unlisted(lake: Lake, older_than: timedelta, now: datetime) -> Unlisted:
    """Divide the unlisted files by whether they have been unlisted since `now` - `older_than`.

    LakeDamagedError if a manifest that is needed for this cannot be read.
    """
    moment = now - older_than
    lake.refresh()
    lately = manifests.removed_since(lake.storage, moment)
    found = Unlisted()
    for file in lake.leftovers():
        if file.path.endswith(_OURS):  # other files there are not ours
            is_young = file.modified_at > moment or listed_path(file.path) in lately
            (found.kept if is_young else found.removable).append(file)
    return found


def remove(storage: Storage, files: Iterable[StoredFile]) -> list[StoredFile]:
    """Remove the files; return those that are gone.

    The caller holds the lake's lock. LakeUnwritableError if one cannot be removed; those before it
    are gone.
    """
    removed: list[StoredFile] = []
    for file in files:
        storage.delete(file.path)
        removed.append(file)
        failpoints.reach("vacuum.removed")
    return removed


def by_folder(files: Iterable[StoredFile]) -> Counter[str]:
    """Return how many files belong to each table or to another of the lake's folders."""
    paths = (listed_path(file.path) for file in files)
    return Counter(path.partition("/")[0] for path in paths if "/" in path)
