"""The views of a lake: a catalogue of its newest commit, and what the files of that commit lack."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from chatlake.errors import LakeDamagedError, LakeError, LakeUnwritableError
from chatlake.lake import manifests
from chatlake.lake.catalog.keeper import CatalogKeeper
from chatlake.lake.catalog.opening import connect
from chatlake.lake.files.losses import Losses, find_losses
from chatlake.lake.lake_rows import LakeRows
from chatlake.model.prices import Price
from chatlake.storage.interface import Storage

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)

_LOST_SHOWN: Final = 3


class LakeViews(LakeRows):
    """What a query needs: the newest state, and views of exactly what it lists."""

    def __init__(self, storage: Storage, prices: Sequence[Price] | None = None) -> None:
        """Load the state; `prices` are for the view `costs`; None: those that the lake has.

        LakeDamagedError, LakeFormatError (see `manifests.load_state`).
        """
        super().__init__(storage, manifests.load_state(storage))
        self._catalog = CatalogKeeper(storage, prices)
        self._holds_lock = False
        self._answers_despite_losses = False
        self._losses = Losses()

    def refresh(self) -> bool:
        """Load what other processes have committed; return whether there was anything.

        LakeDamagedError, LakeFormatError.
        """
        return manifests.refresh_state(self.storage, self._state)

    def reload(self) -> None:
        """Read the state again from its newest checkpoint. LakeDamagedError, LakeFormatError."""
        self._state = manifests.load_state(self.storage)

    def follow_move(self) -> None:
        """Rewrite the catalogue if the lake was moved or copied, because its paths are absolute.

        Without write access, a query gets a private catalogue (`ensure_catalog`). Damage of a lake
        is reported when it is read.
        """
        if self._catalog.is_elsewhere(self._state):
            with suppress(LakeError):
                self._catalog.refresh(self._state, force=True, may_swap=self._may_swap)

    def catalog_is_current(self) -> bool:
        """Say whether the catalogue shows `state`, at the place where the lake now is."""
        return self._catalog.is_current(self._state)

    def ensure_catalog(self) -> str:
        """Return the path of a catalogue of the newest commit, written again if need be.

        If the lake cannot be written, or is in a bucket, the catalogue is in a temporary folder
        that is removed with this object. While another run writes, it is the one that the run keeps
        fresh. LakeDamagedError if a listed file is missing (see `answer_despite_losses`).
        """
        self.refresh()
        if self._losses.are_of(self._state):
            return self._catalog.build_privately(self._state, self._losses)
        try:
            return self._ensure_whole_catalog()
        except LakeDamagedError:
            if not self.look_for_losses():
                raise
            return self._catalog.build_privately(self._state, self._losses)

    def _ensure_whole_catalog(self) -> str:
        if not self._catalog.is_local:
            # The one in the bucket is for other programs; it would have to be fetched to be read.
            return self._catalog.build_privately(self._state)
        if not self._catalog.is_current(self._state):
            try:
                self._catalog.refresh(self._state, force=True, may_swap=self._may_swap)
            except LakeUnwritableError:
                return self._catalog.build_privately(self._state)
            if not self._catalog.is_usable():
                return self._catalog.build_privately(self._state)
        return self._catalog.path

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open the views read-only, on the newest commit; TimeZone UTC.

        Errors as of `ensure_catalog`.
        """
        if self._catalog.is_local:
            self.refresh()
            if not self._losses.are_of(self._state) and (
                current := self._catalog.connect_if_current(self._state)
            ):
                return current
        connection = connect(self.ensure_catalog(), self.storage, self._state.files)
        # A private catalogue is removed with its keeper, so the keeper lives as long as the
        # connection.
        weakref.finalize(connection, _let_go, self._catalog).atexit = False
        return connection

    def answer_despite_losses(self) -> None:
        """Let the views answer for the rest where listed files are missing, with a warning.

        Without this they raise LakeDamagedError: an export must not leave rows out silently.
        """
        self._answers_despite_losses = True

    def look_for_losses(self) -> bool:
        """Look for listed files that are not at their path, and warn of those that are nowhere.

        Return whether there are any and opening the views again helps: without
        `answer_despite_losses` only if none is lost.
        """
        if self._losses.are_of(self._state):
            return False
        found = find_losses(self.storage, self._state)
        if found.lost and not self._answers_despite_losses:
            return False
        self._losses = found
        lost = sorted(found.lost)
        if lost:
            more = f" and {len(lost) - _LOST_SHOWN:,} more" if lost[_LOST_SHOWN:] else ""
            logger.warning(
                "%s: listed files are missing (%d), and the answer lacks their rows: %s%s. "
                "`chatlake verify` says what to do",
                self.location, len(lost), ", ".join(lost[:_LOST_SHOWN]), more,
            )  # fmt: skip
        return self._losses.are_of(self._state)

    def was_rewritten(self) -> bool:
        """Say whether later commits have replaced files of `state`, which may be gone."""
        with suppress(LakeError):
            return not self._state.files.keys() <= manifests.load_state(self.storage).files.keys()
        return False

    def _may_swap(self) -> bool:
        # A reader does not take the lock, which would turn a backup away. It leaves the catalogue
        # alone if a run is writing or has committed in the meantime, because that run swaps in a
        # newer one.
        if self._holds_lock:
            return True
        return self.storage.lock_holder() is None and not self.refresh()


def _let_go(_keeper: CatalogKeeper) -> None:
    """Do nothing; being registered keeps an object alive until the end of another one."""
