"""A lake: how it is opened, locked and committed to. Rows and views are in modules of their own."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from chatlake import __version__, failpoints
from chatlake.errors import (
    CommitConflictError,
    LakeDamagedError,
    LakeError,
    LakeNotFoundError,
)
from chatlake.lake import checkpoints, manifests, tidying, unlisted
from chatlake.lake.lake_views import LakeViews
from chatlake.model.manifest import Manifest, format_time
from chatlake.model.prices import Price
from chatlake.storage.folder import Access
from chatlake.storage.interface import LockHolder, Storage, StoredFile
from chatlake.storage.opening import storage_at

logger = logging.getLogger(__name__)

_PARTITION: Final = re.compile(r"[/\\](source|created_date)=")
# DuckDB keeps a backslash in a path, but treats it as a separator in a glob.
_UNREADABLE: Final = re.compile(r"\\.*[*?\[]|[*?\[].*\\")


class Lake(LakeViews):
    """The lake on one storage, as the backup needs it (`backup.lake_port.LakeStore`)."""

    def __init__(self, storage: Storage, prices: Sequence[Price] | None = None) -> None:
        """Load the state; `prices` are for the view `costs`; None: those that the lake has.

        LakeDamagedError, LakeFormatError (see `manifests.load_state`).
        """
        super().__init__(storage, prices)
        # Of the files that this process has listed: those that no catalogue has shown yet, and
        # those that it replaced before one did.
        self._unshown: set[str] = set()
        self._never_shown: set[str] = set()

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
        without a lake; LakeError for a path that DuckDB would misread; LakeDamagedError,
        LakeFormatError; with `create` LakeUnwritableError; ConfigurationError for a URL that
        `storage_at` refuses.
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

    def create(self) -> None:
        """Write the files of a lake without commits: the empty files that every view reads.

        The catalogue is written with the first run's commits, or on request.
        """
        self._catalog.write_empty_files()

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
                checkpoints.restore_checkpoints(
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
                # The manifest may exist although a later step failed: what is there counts.
                with suppress(LakeError):
                    self.refresh()
            if self._state.number < manifest.number:
                manifest.number, manifest.created_at, manifest.chatlake = given
            raise
        failpoints.reach("commit.applied")
        checkpoints.ensure_checkpoint(self.storage, self._state, chatlake=__version__)
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

    def leftovers(self) -> Iterator[StoredFile]:
        """Yield the files that no manifest lists (`unlisted.leftovers`)."""
        return unlisted.leftovers(self.storage, self._state)

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


def _this_process(run_id: str) -> LockHolder:
    return LockHolder(socket.gethostname(), os.getpid(), format_time(datetime.now(UTC)), run_id)
