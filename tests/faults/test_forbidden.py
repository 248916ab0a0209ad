"""A lake that this user may not read, or not all of it, is not reported as damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.simulator import Scenario, running
from tests.command_line import Ended, environment
from tests.support import NOW, backup, settings_for

# Without these rights root is held by modes like anybody else.
RIGHTS = "-dac_override,-dac_read_search"
BOUND = ["setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}"] if os.geteuid() == 0 else []
pytestmark = pytest.mark.skipif(
    bool(BOUND) and shutil.which("setpriv") is None, reason="there is no setpriv, and this is root"
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up a small account once; tests read copies."""
    folder = tmp_path_factory.mktemp("stored")
    with running(Scenario(completions=8, seed=6, now=NOW)) as server:
        backup(settings_for(folder, server.base_url))
    return folder


@pytest.fixture
def readable(stored: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy that may be read and not be written."""
    copy = shutil.copytree(stored, tmp_path / "copy")
    for path in copy.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield copy
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)


def as_reader(folder: Path, *words: str) -> Ended:
    """Run a command that may read what the modes allow; root may read everything else."""
    done = subprocess.run(
        [*BOUND, sys.executable, "-m", "chatlake", *words],
        cwd=folder,
        env=environment(CHATLAKE_STATE=str(folder / "state")),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_who_may_read_all_verifies_all(readable: Path) -> None:
    """A reader without permission to write gets the verdict: exit code 0."""
    done = as_reader(readable, "verify")

    assert done.code == 0, done.err
    assert "no damage" in done.out


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "pattern",
    ["lake", "lake/manifests", "lake/manifests/0*1.json", "lake/completions",
     "lake/completions/source=*", "lake/completions/source=*/created_date=*",
     "lake/completions/*/*/*.parquet", "lake/messages/*/*/*.parquet", "lake/images/*/*/*.parquet",
     "lake/catalog.duckdb", "lake/schema", "lake/schema/messages/*/*/*.parquet"],
)  # fmt: skip
def test_what_may_not_be_read_is_not_called_damaged(readable: Path, pattern: str) -> None:
    """Exit code 1, `Permission denied` in words, and which user may read it; never 7."""
    found = sorted(readable.glob(pattern))
    if not found:
        pytest.skip(f"this lake has no {pattern}")
    found[0].chmod(0o000)

    done = as_reader(readable, "verify")

    assert done.code == 1, done.err
    said = (done.out + done.err).lower()
    assert "permission" in said
    assert "as the user who backs up" in said
    for word in ("damaged", "restore", "unexpected", "traceback"):
        assert word not in said, said


def test_damage_is_told_beside_what_may_not_be_read(readable: Path) -> None:
    """Both are named, and damage decides the exit code."""
    first, *_, last = sorted((readable / "lake/messages").rglob("*.parquet"))
    first.chmod(0o000)
    last.write_bytes(last.read_bytes()[:-1] + b"x")

    done = as_reader(readable, "verify", "--json")

    kinds = {finding["path"]: finding["kind"] for finding in done.json["findings"]}
    assert (done.code, done.json["status"]) == (7, "damaged")
    assert kinds[str(first.relative_to(readable / "lake"))] == "forbidden"
    assert kinds[str(last.relative_to(readable / "lake"))] == "altered"


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "words", [("status",), ("sql", "FROM runs"), ("export", "raw", "--output", "-")]
)
def test_every_reading_command_says_so(readable: Path, words: tuple[str, ...]) -> None:
    """A folder of manifests that may not be read: exit code 1, in two lines."""
    (readable / "lake/manifests").chmod(0o000)

    done = as_reader(readable, *words)

    assert done.code == 1
    assert "Permission denied" in done.err
    assert len(done.err.splitlines()) == 2
