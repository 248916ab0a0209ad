"""A database that a Prefect server has used before, so that it need not create its tables.

To create them takes a server longer than anything else that it does as it starts. So they are
created once, and copied. It also has a Secret block with the tests' key, and no runs. The tests of
a first start, such as that of the demo, do without.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import KEY

_NAME = f"chatlake-prefect-{os.environ.get('PYTEST_XDIST_TESTRUNUID') or os.getpid()}"


FROM_THE_FUTURE = "ffffffffffff"
_SETTINGS = {
    # As a server starts it imports every library that may have blocks, Ray and Dask among them, to
    # save their types. The tests need none but Secret, which the copied database has.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
# The server is in the same process: another one would import all of Prefect again.
_CREATE = f"""
import asyncio
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient
from prefect.server.api.server import create_app

async def create():
    async with PrefectClient(create_app(ephemeral=True)) as client:
        await Secret(value={KEY!r}).save("chatlake-key", client=client)

asyncio.run(create())
"""


def environment(**more: str) -> dict[str, str]:
    """Return an environment for Prefect with such a database: this one, without its own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, **_SETTINGS, **more}


def migrated(path: Path) -> Path:
    """Put a database there as the installed Prefect leaves it, without runs; return `path`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(_template(), path)
    return path


def used_home(home: Path) -> Path:
    """Make a Prefect home with databases for the user's servers and for chatlake's; return it."""
    migrated(home / "prefect.db")
    migrated(home / "chatlake" / "prefect.db")
    return home


def home_with_secret(home: Path) -> Path:
    """Make a Prefect home in which the user keeps the tests' key as a Secret block; return it."""
    migrated(home / "prefect.db")
    return home


def later(path: Path, revision: str = FROM_THE_FUTURE) -> Path:
    """Make a database as a Prefect leaves it that is newer than all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES (?)", [revision])
    database.close()
    return path


def _template() -> Path:
    """Return the database that all processes of this test run copy; the first one creates it."""
    folder = Path(tempfile.gettempdir(), _NAME)
    path = folder / "used.db"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            atexit.register(_remove, os.getpid(), folder)
            _create(path)
    return path


def _create(path: Path) -> None:
    home = path.with_suffix("")
    subprocess.run(
        [sys.executable, "-c", _CREATE],
        env=environment(
            PREFECT_HOME=str(home), PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1"
        ),
        check=True,
        capture_output=True,
    )
    # Also what the server left in a file beside the database.
    unfinished = path.with_suffix(".new")
    with sqlite3.connect(home / "prefect.db") as made, sqlite3.connect(unfinished) as copy:
        made.backup(copy)
    made.close()
    copy.close()
    unfinished.rename(path)


def _remove(owner: int, folder: Path) -> None:
    if os.getpid() == owner:  # not a process that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
