"""Listed files that are not where they should be: moved below `replaced/`, or nowhere.

A lake that was copied file by file while a backup wrote may list files that the copy lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatlake.lake.files.replaced import replaced_path
from chatlake.model.manifest import LakeState
from chatlake.storage.interface import Storage


@dataclass(frozen=True, slots=True)
class Losses:
    """The files that one commit lists but that are not at their path.

    `lost`: those that are nowhere. `moved`: those below `replaced/`. `commit`: its number; 0 if
    nothing has been looked for.
    """

    commit: int = 0
    lost: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()

    def are_of(self, state: LakeState) -> bool:
        """Say whether files of this state are not at their path."""
        return self.commit == state.number and bool(self.lost or self.moved)

    def place_of(self, path: str) -> str | None:
        """Return where a listed file lies; None for one that is lost."""
        if path in self.lost:
            return None
        return replaced_path(path) if path in self.moved else path


def find_losses(storage: Storage, state: LakeState) -> Losses:
    """Look for each file that the state lists."""
    away = set(state.files) - storage.sizes(state.files).keys()
    found = storage.sizes([replaced_path(path) for path in away])
    moved = frozenset(path for path in away if replaced_path(path) in found)
    return Losses(state.number, frozenset(away) - moved, moved)
