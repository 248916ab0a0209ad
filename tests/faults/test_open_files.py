"""Too many open files: reported as such, with exit code 1, and never as a damaged lake."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from chatlake.errors import LakeDamagedError, OpenFilesError
from chatlake.storage.file_errors import too_many_open
from tests.nights.server import NightServer, serving
from tests.support import KEY, KEY_VARIABLE, NOW, backup, settings_for

DAYS = 20


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NightServer]:
    """Back up twenty days, each with files of its own."""
    folder = tmp_path_factory.mktemp("lake")
    with serving() as server:
        server.grow(DAYS, step=86_400, start=NOW)
        settings = settings_for(folder, server.base_url)
        assert backup(settings).exit_code == 0
    return folder / "chatlake.yaml", server


def run(config: Path, words: Sequence[str], limit: int) -> subprocess.CompletedProcess[str]:
    """Run a command that may open no more files than that at once."""
    return subprocess.run(
        [sys.executable, "-m", "chatlake", *words, "--config", str(config)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        env=os.environ | {KEY_VARIABLE: KEY},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.sample(1)
@pytest.mark.parametrize("limit", [8, 14, 24])
@pytest.mark.parametrize(
    "words",
    [
        ("sql", "SELECT count(*) FROM completions"),
        ("export", "raw", "--output", "/dev/null"),
        ("verify",),
    ],
    ids=lambda words: words[0],
)
def test_a_low_limit_is_no_damage(
    lake: tuple[Path, NightServer], words: Sequence[str], limit: int
) -> None:
    """A command that needs more files says so, and what to do; any other command works."""
    config, _ = lake
    ended = run(config, words, limit)
    assert "damaged" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    if words[0] == "verify":  # it has one file open at a time
        assert ended.returncode == 0, ended.stderr
    else:
        assert ended.returncode == 1, ended.stderr
        assert "error: Too many files are open" in ended.stderr
        assert "ulimit -n" in ended.stderr


@pytest.mark.parametrize(
    ("error", "is_limit"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.ENFILE, "Too many open files in system"), True),
        (OSError("IO Error: Cannot open file: Too many open files"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (OpenFilesError("x"), True),
        (LakeDamagedError("x"), False),
    ],
)
def test_what_is_a_limit(error: Exception, is_limit: bool) -> None:
    """The error's number shows it, or its words if a library keeps only those."""
    assert (too_many_open(error) is not None) == is_limit
    outer = RuntimeError("reading")
    outer.__cause__ = error
    assert (too_many_open(outer) is not None) == is_limit
