"""A lake: what the backup writes to and every command reads from."""

from __future__ import annotations

import logging
import os
import re
import socket
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from chatlake import __version__, failpoints
from chatlake.errors import (
    CommitConflictError,
    LakeDamagedError,
    LakeError,
    LakeNotFoundError,
    LakeUnwritableError,
)
from chatlake.lake import manifests, tidying
from chatlake.lake.catalog.keeper import CatalogKeeper
from chatlake.lake.catalog.opening import connect
from chatlake.lake.files.losses import Losses, find_losses
from chatlake.lake.files.replaced import FOLDER as REPLACED
from chatlake.lake.lake_rows import LakeRows
from chatlake.model.manifest import Manifest, format_time
from chatlake.model.prices import Price
from chatlake.model.tables import COLUMNS
from chatlake.storage.folder import Access
from chatlake.storage.interface import TEMPORARY_SUFFIX, LockHolder, Storage, StoredFile
from chatlake.storage.opening import storage_at

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)

_LOST_SHOWN: Final = 3

_PARTITION: Final = re.compile(r"[/\\](source|created_date)=")
# DuckDB keeps a backslash in a path, but treats it as a separator in a glob.
_UNREADABLE: Final = re.compile(r"\\.*[*?\[]|[*?\[].*\\")


class Lake(LakeRows):
    """The lake on one storage, and what its newest manifest lists (`backup.ports.LakeStore`)."""

    def __init__(self, storage: Storage, prices: Sequence[Price] | None = None) -> None:
        """Load the state; `prices` are for the view `costs`; None: those that the lake has.

        LakeDamagedError, LakeFormatError (see `manifests.load_state`).
        """
        super().__init__(storage, manifests.load_state(storage))
        self._catalog = CatalogKeeper(storage, prices)
        self._holds_lock = False
        # Of the files that this process has listed: those that no catalogue has shown yet, and
        # those that it replaced before one did.
        self._unshown: set[str] = set()
        self._never_shown: set[str] = set()
        self._answers_despite_losses = False
        self._losses = Losses()

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str],
        *,
        access: Access = "private",
        create: bool = False,
        prices: Sequence[Price] | None = None,
    ) -> Lake:
        """Open the lake in a folder or bucket; with `create`, make it if there is none.

        `access` says which users may read what this process writes into a folder. `prices` are for
        the view `costs`; None: those that the lake's catalogue has. Raises LakeNotFoundError
        without a lake; LakeDamagedError, LakeFormatError; with `create` LakeUnwritableError;
        ConfigurationError for a URL that `storage_at` refuses.
        """
        storage = storage_at(location, access)
        if _PARTITION.search(storage.location):
            raise LakeError(
                f"{storage.location}: DuckDB would read a folder of this path as a partition",
                hint="Put the lake where no folder is named source=… or created_date=…",
            )
        if _UNREADABLE.search(storage.location):
            raise LakeError(
                f"{storage.location}: DuckDB cannot read a path with a backslash and one of * ? [",
                hint="Put the lake in folders with other names.",
            )
        lake = cls(storage, prices)
        if lake.state.number or any(
            next(storage.list(folder), None) for folder in ("schema", manifests.FOLDER)
        ):
            return lake
        if not create:
            raise LakeNotFoundError(f"There is no lake at {storage.location}")
        lake.create()
        return lake

    def follow_move(self) -> None:
        """Rewrite the catalogue if the lake was moved or copied, because its paths are absolute.

        Without write access, a query gets a private catalogue (`ensure_catalog`). Damage of a lake
        is reported when it is read.
        """
        if self._catalog.is_elsewhere(self._state):
            with suppress(LakeError):
                self._catalog.refresh(self._state, force=True, may_swap=self._may_swap)

    def create(self) -> None:
        """Write the files of a lake without commits: the empty files that every view reads.

        The catalogue is written with the first run's commits, or on request.
        """
        self._catalog.write_empty_files()

    def refresh(self) -> bool:
        """Load what other processes have committed; return whether there was anything."""
        return manifests.refresh_state(self.storage, self._state)

    def reload(self) -> None:
        """Read the state again from its newest checkpoint. LakeDamagedError."""
        self._state = manifests.load_state(self.storage)

    @contextmanager
    def lock(self, run_id: str = "") -> Iterator[None]:
        """Be the only writer inside the block, on the newest state.

        Raises LakeLockedError if there is another. At the end, the catalogue shows the last commit,
        and the tables' folders contain exactly the files that it lists (see `tidying`).
        """
        with self.storage.lock(_this_process(run_id)):
            self._holds_lock = True
            self._unshown.clear()
            self._never_shown.clear()
            try:
                self.refresh()
                tidying.put_back(self.storage, self._state)
                manifests.restore_checkpoints(
                    self.storage, newest=self._state.number, chatlake=__version__
                )
                try:
                    yield
                except BaseException:
                    # The reason why the run ended matters more than a catalogue that lags behind.
                    with suppress(LakeError):
                        self._end()
                    raise
                self._end()
            finally:
                self._holds_lock = False

    def commit(self, manifest: Manifest) -> None:
        """Make `manifest` the newest: fills in number, time and version, then shows it to readers.

        CommitConflictError, and nothing changed, when another run committed first. Any other
        LakeError may come after the commit is durable; `state` then holds it.
        """
        given = manifest.number, manifest.created_at, manifest.chatlake
        manifest.number = self._state.number + 1
        manifest.created_at = format_time(datetime.now(UTC))
        manifest.chatlake = __version__
        failpoints.reach("commit.started")
        try:
            # Applied as read back, because the caller may continue to change its figures.
            self._state.apply(manifests.append_commit(self.storage, manifest))
            self._unshown.update(file.path for file in manifest.added)
            self._never_shown |= self._unshown.intersection(manifest.removed)
        except BaseException as error:
            if not isinstance(error, CommitConflictError):
                # It may exist although a later step failed: what is there counts.
                with suppress(LakeError):
                    self.refresh()
            if self._state.number < manifest.number:
                manifest.number, manifest.created_at, manifest.chatlake = given
            raise
        failpoints.reach("commit.applied")
        manifests.ensure_checkpoint(self.storage, self._state, chatlake=__version__)
        # A lost file prevents building the catalogue, but must not stop a run, which may restore
        # it. If it is still lost at the end of the run, releasing the lock reports it.
        with suppress(LakeDamagedError):
            self.refresh_catalog()

    def refresh_catalog(self, *, force: bool = False) -> None:
        """Swap in a catalogue of `state`.

        Without `force`, only if that does not take too much time.

        The caller holds the lock.
        """
        if self._catalog.refresh(self._state, force=force):
            self._unshown.clear()

    def catalog_is_current(self) -> bool:
        """Say whether the catalogue shows `state`, at the place where the lake now is."""
        return self._catalog.is_current(self._state)

    def ensure_catalog(self) -> str:
        """Return the path of a catalogue of the newest commit, written again if need be.

        If the lake cannot be written, or is in a bucket, it is in a temporary folder that is
        removed with this object. While another run writes, it is the one that the run keeps fresh.
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
        """Open the views read-only, on the newest commit; TimeZone UTC."""
        if self._catalog.is_local:
            self.refresh()
            if not self._losses.are_of(self._state) and (
                current := self._catalog.connect_if_current(self._state)
            ):
                return current
        connection = connect(self.ensure_catalog(), self.storage)
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
                "%s: %d listed file(s) are missing, and the answer lacks their rows: %s%s. "
                "`chatlake verify` says what to do",
                self.location, len(lost), ", ".join(lost[:_LOST_SHOWN]), more,
            )  # fmt: skip
        return self._losses.are_of(self._state)

    def leftovers(self) -> Iterator[StoredFile]:
        """Yield the files that no manifest lists: temporary, replaced, or of a killed run."""
        for file in self.storage.list():
            folder, _, name = file.path.rpartition("/")
            top = folder.partition("/")[0]
            is_data = top == REPLACED or (top in COLUMNS and file.path not in self._state.files)
            if is_data or (name.startswith("_") and name.endswith(TEMPORARY_SUFFIX)):
                yield file

    def was_rewritten(self) -> bool:
        """Say whether later commits have replaced files of `state`, which may be gone."""
        with suppress(LakeError):
            return not self._state.files.keys() <= manifests.load_state(self.storage).files.keys()
        return False

    def _end(self) -> None:
        """Swap in the last catalogue, then tidy.

        Files that an old catalogue shows stay where they are.
        """
        self.refresh_catalog(force=True)
        try:
            tidying.tidy(self.storage, self._state, self._never_shown)
        except LakeError as error:
            # Everything is committed: this does not fail a run, and the next one tries again.
            logger.warning(
                "replaced files still lie beside their successors, so programs that read the "
                "Parquet files directly count them too: %s",
                error.message,
            )

    def _may_swap(self) -> bool:
        # A reader does not take the lock, which would turn a backup away. It leaves the catalogue
        # alone if a run is writing or has committed in the meantime, because that run swaps in a
        # newer one.
        if self._holds_lock:
            return True
        return self.storage.lock_holder() is None and not self.refresh()


def _let_go(_keeper: CatalogKeeper) -> None:
    """Do nothing; being registered keeps an object alive until the end of another one."""


def _this_process(run_id: str) -> LockHolder:
    return LockHolder(socket.gethostname(), os.getpid(), format_time(datetime.now(UTC)), run_id)
