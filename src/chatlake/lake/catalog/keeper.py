"""When the catalogue is built, and where: in the lake, or in a temporary folder."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from chatlake.errors import LakeError
from chatlake.lake.catalog.opening import (
    CATALOG,
    CatalogStamp,
    connect,
    empty_path,
    read_prices,
    read_stamp,
)
from chatlake.lake.files.losses import Losses
from chatlake.model.manifest import LakeState
from chatlake.model.prices import Price
from chatlake.model.tables import COLUMNS
from chatlake.storage.folder import LocalStorage
from chatlake.storage.interface import Storage
from chatlake.storage.local_copy import local_copy

if TYPE_CHECKING:
    import duckdb

# Refreshing during a run costs at most this share of the run's time.
_SHARE: Final = 0.03
_EXPECTED_S: Final = 0.25  # the cost of the first one: a short run writes one, at its end


class CatalogKeeper:
    """Keeps a lake's catalogue up to date; does nothing if DuckDB cannot read the lake."""

    def __init__(self, storage: Storage, prices: Sequence[Price] | None = None) -> None:
        """`prices` are for the view `costs`; None: those of the catalogue that is there."""
        self._storage = storage
        self._prices = prices
        self._took_s = _EXPECTED_S
        self._ended_at = time.monotonic()
        self._private: LocalStorage | None = None
        self._private_shows = (-1, Losses())
        self._swapped_in: CatalogStamp | None = None
        self._empties_are_right = False

    @property
    def is_local(self) -> bool:
        """Whether the lake's catalogue is a file of this machine, which DuckDB can open."""
        return self._storage.local_path(CATALOG) is not None

    @property
    def path(self) -> str:
        """The path of the lake's catalogue. LakeError if it is not on this machine."""
        path = self._storage.local_path(CATALOG)
        if path is None:
            raise LakeError(f"DuckDB cannot read {self._storage.location}")
        return path

    def write_empty_files(self) -> None:
        """Make sure that the lake has one empty file for each table.

        Each is read once; after that, a listing shows whether all are still there.
        """
        if self._empties_are_right and self._has_empty_files():
            return
        for table in COLUMNS:
            _write_empty_file(self._storage, table)
        self._empties_are_right = True

    def is_current(self, state: LakeState) -> bool:
        """Say whether the lake's catalogue shows this commit, at the place where the lake is."""
        return self._shows(self._stamp(), state)

    def connect_if_current(self, state: LakeState) -> duckdb.DuckDBPyConnection | None:
        """Open the lake's catalogue if it is current, as `is_current` says; else None.

        LakeError if it is not on this machine.
        """
        import duckdb  # noqa: PLC0415 - only for its errors

        with suppress(duckdb.Error, OSError):
            connection = connect(self.path, self._storage)
            try:
                if self._shows(CatalogStamp.read(connection), state):
                    return connection
            except duckdb.Error:
                pass
            connection.close()
        return None

    def is_usable(self) -> bool:
        """Say whether the lake's catalogue shows some commit at the place where the lake is.

        LakeError if it is not on this machine.
        """
        stamp = read_stamp(self.path)
        return (
            stamp is not None
            and stamp == CatalogStamp.of(self._storage, stamp.number)
            and self._has_empty_files()
        )

    def is_elsewhere(self, state: LakeState) -> bool:
        """Say whether the lake's catalogue is for another place: the lake was moved or copied.

        True also if the catalogue cannot be read, or is missing although there are commits. False
        if it shows a later commit than the lake has: then it is evidence that commits were lost.
        """
        if not self.is_local:
            return False
        stamp = read_stamp(self.path)
        if stamp is None:
            return state.number > 0 or self._storage.size(CATALOG) is not None
        here = CatalogStamp.of(self._storage, stamp.number)
        return stamp != here and stamp.number <= state.number

    def refresh(
        self, state: LakeState, *, force: bool, may_swap: Callable[[], bool] = lambda: True
    ) -> bool:
        """Swap in a catalogue of `state`, unless it is current; without `force` not too often.

        `may_swap` is asked before the lake is touched, and again when the catalogue is built.
        Returns whether it was swapped in. Errors as of `build_catalog`; LakeUnwritableError.
        """
        if self._storage.url(CATALOG) is None:
            return False
        begun_at = time.monotonic()
        if not force and self._took_s > _SHARE * (begun_at - self._ended_at):
            return False
        if self.is_current(state) or not may_swap():
            return False
        self.write_empty_files()
        prices = self._known_prices()
        data = _built(self._storage, state, self._storage, prices)
        if not may_swap():
            return False
        self._storage.replace(CATALOG, data)
        self._swapped_in = CatalogStamp.of(self._storage, state.number, prices)
        self._ended_at = time.monotonic()
        self._took_s = self._ended_at - begun_at
        return True

    def build_privately(self, state: LakeState, losses: Losses | None = None) -> str:
        """Return the path of a catalogue of `state` in a folder that is removed with this object.

        `losses`: the files that are not at their path; those that are nowhere are left out.
        """
        if self._private is None:
            folder = tempfile.mkdtemp(prefix="chatlake-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            # The lake's own path below the folder, because all paths of a view must have the same
            # folders of the form `key=value`.
            place = self._storage.location.partition("://")[2] or self._storage.location
            self._private = LocalStorage(f"{folder}/{place}")
            for table in COLUMNS:
                _write_empty_file(self._private, table)
        losses = losses or Losses()
        if self._private_shows != (state.number, losses):
            data = _built(self._storage, state, self._private, self._known_prices(), losses)
            self._private.replace(CATALOG, data)
            self._private_shows = (state.number, losses)
        return f"{self._private.location}/{CATALOG}"

    def _stamp(self) -> CatalogStamp | None:
        # In a bucket, a check costs as much as reading the file; what this process put there is
        # known.
        if not self.is_local and self._swapped_in is not None:
            return self._swapped_in
        with local_copy(self._storage, CATALOG) as path:
            return None if path is None else read_stamp(path)

    def _shows(self, stamp: CatalogStamp | None, state: LakeState) -> bool:
        return (
            stamp is not None
            and stamp == CatalogStamp.of(self._storage, state.number)
            and stamp.has_prices(self._prices)
            and self._has_empty_files()
        )

    def _known_prices(self) -> Sequence[Price]:
        """Return the prices for `costs`: those of the present catalogue if none were given."""
        if self._prices is None:
            with local_copy(self._storage, CATALOG) as path:
                self._prices = () if path is None else read_prices(path)
        return self._prices

    def _has_empty_files(self) -> bool:
        sizes = self._storage.sizes([empty_path(table) for table in COLUMNS])
        return len(sizes) == len(COLUMNS) and all(sizes.values())


def _built(
    storage: Storage,
    state: LakeState,
    empties: Storage,
    prices: Sequence[Price],
    losses: Losses | None = None,
) -> bytes:
    from chatlake.lake.catalog.build import build_catalog  # noqa: PLC0415 - Arrow, seldom needed

    return build_catalog(storage, state, empties, prices, losses or Losses())


def _write_empty_file(storage: Storage, table: str) -> None:
    from chatlake.lake.files.parts import empty_file  # noqa: PLC0415 - Arrow, seldom needed

    data = empty_file(table)
    try:
        if storage.read(empty_path(table)) == data:
            return
    except FileNotFoundError:
        pass
    storage.replace(empty_path(table), data)
