"""Databases that a Prefect server has used before, so that it need not create their tables.

To create them takes a server longer than anything else that it does as it starts. So they are
created once, and copied. The tests of a first start do without.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_NAME = f"chatlake-prefect-{os.environ.get('PYTEST_XDIST_TESTRUNUID') or os.getpid()}"


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


def _template() -> Path:
    """Return the database that all processes of this test run copy; the first one creates it."""
    folder = Path(tempfile.gettempdir(), _NAME)
    path = folder / "prefect.db"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            atexit.register(_remove, os.getpid(), folder)
            _create(path)
    return path


def _create(path: Path) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    home = path.with_name("home")
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env={**inherited, "PREFECT_HOME": str(home), "DO_NOT_TRACK": "1"},
        check=True,
        capture_output=True,
    )
    (home / "prefect.db").rename(path)


def _remove(owner: int, folder: Path) -> None:
    if os.getpid() == owner:  # not a process that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
