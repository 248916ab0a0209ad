"""A writer that is killed at any step of a commit loses nothing and doubles nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake import failpoints
from chatlake.errors import LakeLockedError
from chatlake.lake import Lake, manifests
from chatlake.lake.files.parts import open_part
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from chatlake.storage.rereading import RereadingStorage
from chatlake.verify.history import check_history
from tests.forked import killed
from tests.lake_writer import commit

# Where the manifest has its name the commit has happened; before, it has not.
COMMITTED_FROM = failpoints.NAMES.index("manifest.linked")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake one commit before its first checkpoint, with the completion `old`."""
    lake = Lake.open(tmp_path_factory.mktemp("prepared") / "lake", create=True)
    with lake.lock():
        commit(lake, "old")
        for _ in range(CHECKPOINT_EVERY - 2):
            lake.commit(Manifest())
    return Path(lake.location)


def writer(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start a process that writes."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lake_writer", *map(str, arguments)],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A lake whose lock another process holds, and that process's id."""
    lake = Lake.open(tmp_path / "lake", create=True)
    with writer(lake.location, "--hold") as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield Path(lake.location), process.pid
        finally:
            process.kill()


def keys(lake: Lake) -> dict[str, list[str]]:
    """Return each table's completion ids as the views show them, in order."""
    with lake.connect() as connection:
        return {
            view: [
                key
                for (key,) in connection.execute(
                    f"SELECT completion_id FROM {view} ORDER BY ALL"
                ).fetchall()
            ]
            for view in ("completions", "messages")
        }


def whole(*stored: str) -> dict[str, list[str]]:
    """Return what `keys` gives for a lake that holds these completions whole."""
    return {"completions": sorted(stored), "messages": sorted(stored * 2)}


@pytest.mark.sample(6)
@pytest.mark.parametrize("name", failpoints.NAMES)
def test_killed_at(prepared: Path, tmp_path: Path, name: str) -> None:
    """Readers see the commit whole or not at all; the next run continues; leftovers can go."""
    place = Path(shutil.copytree(prepared, tmp_path / "lake"))
    Lake.open(place).ensure_catalog()
    killed(str(place), "new", at=name, environment=os.environ)

    happened = failpoints.NAMES.index(name) >= COMMITTED_FROM
    assert keys(Lake.open(place)) == whole("old", *(["new"] if happened else []))

    lake = Lake.open(place)
    with lake.lock():  # free at once, though its holder never released it
        assert ("new" in lake.stored_versions(lake.state.partitions("openai")[0])) == happened
        if not happened:
            commit(lake, "new")
        commit(lake, "next")
    for file in list(lake.leftovers()):
        lake.storage.delete(file.path)
    again = Lake.open(place)
    assert keys(again) == whole("old", "new", "next")
    assert list(again.leftovers()) == []
    assert check_history(RereadingStorage(again.storage, time.sleep)).findings == []
    assert again.storage.size(manifests.checkpoint_path(CHECKPOINT_EVERY))
    for path in again.state.files:
        with open_part(again.storage, path) as part:
            assert part.metadata.num_rows == again.state.files[path].rows


def test_killed_at_the_second_part(prepared: Path, tmp_path: Path) -> None:
    """With one of two tables' parts written nothing of the batch is visible."""
    place = Path(shutil.copytree(prepared, tmp_path / "lake"))
    with writer(place, "new", CHATLAKE_FAILPOINT="part.renamed:kill:2") as process:
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL
    lake = Lake.open(place)
    assert keys(lake) == whole("old")
    assert len(list(lake.leftovers())) == 2


def test_the_lock_names_the_process_that_holds_it(holder: tuple[Path, int]) -> None:
    """The refusal names host, process id, start and run of the holder."""
    place, process = holder
    with (
        pytest.raises(
            LakeLockedError, match=rf"process {process} on .+, since .+Z, run held"
        ) as caught,
        Lake.open(place).lock(),
    ):
        pass
    assert caught.value.exit_code == 8


def test_the_lock_of_a_killed_process_is_free_at_once(holder: tuple[Path, int]) -> None:
    """After SIGKILL of the holder the next one takes over, without waiting or cleaning."""
    place, process = holder
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    with Lake.open(place).lock():
        pass


def test_two_writers_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    """Even without the lock, commits of two processes end up one after the other, each once."""
    lake = Lake.open(tmp_path / "lake", create=True)
    names = [[f"{who}{i:02}" for i in range(20)] for who in "ab"]
    processes = [writer(lake.location, "--unlocked", *mine) for mine in names]
    for process in processes:
        with process:
            assert process.wait(timeout=60) == 0
    again = Lake.open(lake.location)
    assert again.state.number == 40
    assert keys(again) == whole(*names[0], *names[1])
