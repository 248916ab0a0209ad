"""The lake's views for the pages: read-only, confined, bounded in time, always the newest.

A backup may run at the same time: it swaps the catalogue, and merging moves files that the old one
names. So every page checks whether the open catalogue is still current, and a page whose files have
moved is made again with the new one.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from chatlake.errors import LakeDamagedError
from chatlake.lake.catalog.confinement import confine
from chatlake.lake.catalog.duckdb_files import raised_while_reading
from chatlake.lake.lake import Lake

T = TypeVar("T")

PATIENCE_S: Final = 20.0
"""How long the queries of one page may take."""
_LOOK_AGAIN_S: Final = 30.0  # after which the lake itself is checked for commits, not only the file
_HELPERS: Final = 8  # threads for the queries that run beside a page's own
_SETTINGS: Final = ("SET memory_limit = '2GB'",)


class TooSlowError(Exception):
    """The queries of a page took too long and were interrupted."""


class _Gone(Exception):  # noqa: N818 - nobody outside sees it
    """A file of the open catalogue cannot be read: it may have been replaced."""


class _Opened:
    """One open catalogue; closed when it has been replaced and is no longer used."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, signature: tuple[int, ...]) -> None:
        self.connection = connection
        self.signature = signature
        self.kept: dict[str, Any] = {}
        self.tables = threading.RLock()
        self.askers = 0
        self.is_replaced = False


class Session:
    """The views during one page: every query sees the same commit."""

    def __init__(
        self, opened: _Opened, cursor: duckdb.DuckDBPyConnection, helpers: ThreadPoolExecutor
    ) -> None:
        cursor.execute("USE lake")
        self._opened = opened
        self._cursor = cursor
        self._helpers = helpers
        self._beside: list[Session] = []
        self.was_interrupted = False

    def ask(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query. TooSlowError; LakeError if the lake cannot be read."""
        if self.was_interrupted:
            raise TooSlowError
        try:
            return list(self._cursor.execute(sql, parameters or {}).fetchall())
        except duckdb.InterruptException as error:
            raise TooSlowError from error
        except duckdb.Error as error:
            raise _Gone(str(error)) from error

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return all rows of a query by the names of its columns."""
        found = self.ask(sql, parameters)
        names = [column[0] for column in self._cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found]

    @contextmanager
    def beside(self, make: Callable[[Session], T]) -> Iterator[Future[T]]:
        """Let another thread call `make` during the block, with a session of the same commit.

        Yields the future of its result. The block ends when `make` has ended, whatever happens.
        """
        if self.was_interrupted:
            raise TooSlowError
        with closing(self._cursor.cursor()) as cursor:
            other = Session(self._opened, cursor, self._helpers)
            self._beside.append(other)
            other.was_interrupted = self.was_interrupted
            made = self._helpers.submit(make, other)
            try:
                yield made
            finally:
                wait([made])
                self._beside.remove(other)

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Return what `compute` returns, computed once for each commit."""
        if name not in self._opened.kept:
            self._opened.kept[name] = compute()
        found: T = self._opened.kept[name]
        return found

    @contextmanager
    def alone(self, name: str) -> Iterator[dict[Any, Any]]:
        """Be the only page that changes tables in memory; gives what was noted under `name`.

        Tables and notes are dropped with the commit.
        """
        with self._opened.tables:
            yield self._opened.kept.setdefault(name, {})

    def interrupt(self) -> None:
        """Interrupt the running query, and allow no other."""
        self.was_interrupted = True
        self._cursor.interrupt()
        for other in tuple(self._beside):
            other.interrupt()


class Catalogue:
    """A lake's views; safe to use from several threads."""

    def __init__(self, lake: Lake, *, patience_s: float = PATIENCE_S) -> None:
        lake.answer_despite_losses()
        self.location = lake.location
        self.patience_s = patience_s
        self._lake = lake
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="chatlake-")
        self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="browse")
        self._opened: _Opened | None = None
        self._path = ""
        self._looked_at = float("-inf")
        self._sessions: set[Session] = set()

    def page(self, make: Callable[[Session], T]) -> T:
        """Return what `make` makes of the views. Raises TooSlowError or LakeError."""
        try:
            with self._session() as session:
                return make(session)
        except _Gone:
            with self._lock:
                self._looked_at = float("-inf")
                self._let_go()
        try:
            with self._session() as session:
                return make(session)
        except _Gone as error:
            cause: Exception = error.__cause__ if isinstance(error.__cause__, Exception) else error
            if raised := raised_while_reading(cause):
                raise raised from error
            first = str(error).partition("\n")[0]
            raise LakeDamagedError(f"the lake cannot be read: {first}") from error

    def close(self) -> None:
        """Interrupt every query, close what is open, and remove the temporary folder."""
        with self._lock:
            for session in self._sessions:
                session.interrupt()
            self._let_go()
        self._helpers.shutdown()
        self._folder.cleanup()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._lock:
            opened = self._current()
            cursor = opened.connection.cursor()
            session = Session(opened, cursor, self._helpers)
            opened.askers += 1
            self._sessions.add(session)
        timer = threading.Timer(self.patience_s, session.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield session
        finally:
            timer.cancel()
            with self._lock:
                self._sessions.discard(session)
                cursor.close()
                opened.askers -= 1
                if opened.is_replaced and not opened.askers:
                    opened.connection.close()

    def _current(self) -> _Opened:
        """Return the newest catalogue, opened; the caller holds the lock."""
        now = time.monotonic()
        if now - self._looked_at > _LOOK_AGAIN_S:
            self._path = self._lake.ensure_catalog()
            self._looked_at = now
        signature = _signature(self._path)
        if self._opened is None or self._opened.signature != signature:
            self._let_go()
            self._opened = _Opened(self._connect(), signature)
        return self._opened

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = self._lake.connect()
        try:
            for setting in _SETTINGS:
                connection.execute(setting)
            confine(connection, self._lake.location, temporary=self._folder.name)
        except BaseException:
            connection.close()
            raise
        return connection

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.is_replaced = True
            if not opened.askers:
                opened.connection.close()


def _signature(path: str) -> tuple[int, ...]:
    """Return what differs when the file was replaced; nothing if it is missing."""
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
