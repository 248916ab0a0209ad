"""The database of a Prefect server that starts on this machine: its owner, and its version.

Every Prefect server brings its database up to its own version as it starts, and none can go back. A
server that chatlake starts has its own database, so another Prefect on this machine, which a user
upgrades for other reasons, never changes it. With a database of a later version, Prefect would wait
forever, so chatlake recognises one before the server starts.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from chatlake.errors import ChatlakeError

OWN_FOLDER: Final = "chatlake"
"""Below the Prefect home (`PREFECT_HOME`, by default `~/.prefect`)."""
UNKNOWN_REVISION: Final = "Can't locate revision identified by"
"""What Prefect's server writes when a later version has changed its database."""

_SQLITE: Final = re.compile(r"sqlite(\+\w+)?:///(?P<path>[^?]+)")


def own_database() -> str | None:
    """Return the address of chatlake's own database; None if the user has chosen a database.

    The folder is made. Imports Prefect.
    """
    from prefect.settings import (  # noqa: PLC0415 - takes seconds
        PREFECT_HOME,
        PREFECT_SERVER_DATABASE_CONNECTION_URL,
    )

    home = Path(PREFECT_HOME.value())
    chosen = _plain(PREFECT_SERVER_DATABASE_CONNECTION_URL.value())
    path = _sqlite_path(chosen)
    if path is None or path.parent != home:
        return None
    folder = home / OWN_FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite+aiosqlite:///{folder / 'prefect.db'}"


def require_known_database(database: str | None = None) -> None:
    """Check that the installed Prefect can use a database, by default that of Prefect's settings.

    Raises ChatlakeError if another version has changed it. A database that is not SQLite, or does
    not exist yet, is left to the server. Imports Prefect.
    """
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL  # noqa: PLC0415

    path = _sqlite_path(database or _plain(PREFECT_SERVER_DATABASE_CONNECTION_URL.value()))
    if path is not None and path.is_file() and not _is_known(path):
        raise later_database(str(path))


def later_database(database: str) -> ChatlakeError:
    """Return the error of a database that a later Prefect has changed."""
    from prefect import __version__  # noqa: PLC0415

    return ChatlakeError(
        f"{database} was changed by another version of Prefect than this one ({__version__})",
        hint="Install that version, or move the file away: chatlake creates a new one. The file "
        "holds the history of runs and your Secret blocks, but nothing of the lake.",
    )


def _plain(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return str(value if reveal is None else reveal())


def _sqlite_path(url: str) -> Path | None:
    found = _SQLITE.fullmatch(url.partition("?")[0])
    return None if found is None or ":memory:" in url else Path(unquote(found["path"]))


def _is_known(path: Path) -> bool:
    """Say whether the installed Prefect knows a database's revision; True if that is unclear."""
    revision = None
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database,
    ):
        revision = database.execute("SELECT version_num FROM alembic_version").fetchone()
    migrations = _migrations()
    if revision is None or not migrations:
        return True
    line = re.compile(rf"^revision\b.*=\s*['\"]{re.escape(revision[0])}['\"]", re.MULTILINE)
    return any(line.search(file.read_text(encoding="utf-8")) for file in migrations)


def _migrations() -> list[Path]:
    """Return Prefect's changes to SQLite databases, newest first; each names its revision."""
    prefect = find_spec("prefect")
    if prefect is None or prefect.origin is None:
        return []
    folder = Path(prefect.origin).parent / "server/database/_migrations/versions/sqlite"
    return sorted(folder.glob("*.py"), reverse=True)
