"""A lake whose disk fills up, that may not be written, or that somebody takes away meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatlake.config import load_settings
from chatlake.simulator import Running, Scenario, running
from tests.command_line import Ended, ended, environment, start
from tests.support import NOW, rows, wait_for_messages, write_config

COUNT = 120


@pytest.fixture
def server() -> Iterator[Running]:
    """Serve so slowly that a backup takes some seconds."""
    with running(Scenario(completions=COUNT, seed=9, now=NOW, latency_ms=40)) as server:
        yield server


def stored(folder: Path) -> set[str]:
    """Return the ids that the lake in this folder shows."""
    settings = load_settings(folder / "chatlake.yaml")
    return {name for (name,) in rows(settings, "SELECT completion_id FROM completions")}


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "take_away",
    [
        shutil.rmtree,
        lambda lake: lake.rename(lake.with_name("elsewhere")),
        lambda lake: shutil.rmtree(lake / "manifests"),
    ],
    ids=["removed", "moved", "manifests removed"],
)
def test_a_lake_that_is_taken_away_while_it_is_written(
    server: Running, tmp_path: Path, take_away: Callable[[Path], object]
) -> None:
    """Exit code 7 names it, the rest is not taken for a lake, and a new one is created on request."""
    lake = tmp_path / "lake"
    write_config(tmp_path, server.base_url, pace={"concurrency": 4})
    (tmp_path / "ids.txt").write_text("\n".join(server.ids()[:3]))
    assert ended(start(tmp_path, "backup", "--ids-file", "ids.txt")).code == 0
    server.reset_stats()
    process = start(tmp_path, "backup", "--json")
    wait_for_messages(server, 20)
    take_away(lake)
    done = ended(process)

    assert done.code == 7
    assert done.json["error"]["kind"] == "damaged"
    assert str(lake) in done.json["error"]["message"]
    assert "Traceback" not in done.err
    shutil.rmtree(lake, ignore_errors=True)
    assert ended(start(tmp_path, "backup")).code == 1
    assert ended(start(tmp_path, "backup", "--new-lake")).code == 0
    assert stored(tmp_path) == set(server.ids())


def in_own_mounts(folder: Path, script: str) -> Ended:
    """Run a shell script that may mount: nobody else sees it, and it goes when the script ends."""
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    command = ["unshare", *namespaces, "sh", "-ceu", script]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    return ended(process, 100)


@pytest.fixture(scope="module")
def can_mount(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where this user may not mount, not even for itself."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no `unshare` here: full and read-only disks are injected elsewhere")
    folder = tmp_path_factory.mktemp("mounts")
    if in_own_mounts(folder, "mount -t tmpfs -o size=64k none .").code != 0:
        pytest.skip(
            "mounting is not permitted here: full and read-only disks are injected elsewhere"
        )


@pytest.mark.slow
@pytest.mark.usefixtures("can_mount")
def test_a_small_disk_that_fills_up(tmp_path: Path) -> None:
    """What was committed stays, the error says what to do, and with room the next run completes."""
    with running(
        Scenario(completions=150, seed=3, now=NOW, image_share=1, image_bytes=400_000)
    ) as server:
        write_config(tmp_path, server.base_url)
        (tmp_path / "ids.txt").write_text("\n".join(server.ids()[:5]))
        (tmp_path / "lake").mkdir()
        script = """
            mount -t tmpfs -o size=5m,mode=700 none lake
            "$PYTHON" -m chatlake backup --ids-file ids.txt
            code=0; "$PYTHON" -m chatlake backup --json >full.json 2>full.err || code=$?
            echo $code >full.code
            "$PYTHON" -m chatlake sql --format csv "SELECT count(*) FROM completions" >kept.csv
            "$PYTHON" -m chatlake verify --json >verified.json
            mount -o remount,size=64m lake
            "$PYTHON" -m chatlake backup
            cp -R lake whole
        """
        done = in_own_mounts(tmp_path, script.replace("$PYTHON", sys.executable))
        names = set(server.ids())

    assert done.code == 0, done.err
    assert (tmp_path / "full.code").read_text() == "1\n"
    error = json.loads((tmp_path / "full.json").read_text())["error"]
    assert "No space left on device" in error["message"]
    assert "Free space" in error["hint"]
    assert (tmp_path / "kept.csv").read_text().split() == ["count_star()", "5"]
    assert json.loads((tmp_path / "verified.json").read_text())["status"] == "sound"
    (tmp_path / "lake").rmdir()
    (tmp_path / "whole").rename(tmp_path / "lake")
    assert stored(tmp_path) == names


@pytest.mark.slow
@pytest.mark.usefixtures("can_mount")
def test_a_lake_on_a_read_only_disk(tmp_path: Path) -> None:
    """A backup ends with one clear error; sql, status, verify and export still read it."""
    with running(Scenario(completions=30, seed=3, now=NOW)) as server:
        write_config(tmp_path, server.base_url)
        assert ended(start(tmp_path, "backup")).code == 0
        server.grow(3)
        script = """
            mount --bind lake lake
            mount -o remount,ro,bind lake
            code=0; "$PYTHON" -m chatlake backup --json >backup.json 2>backup.err || code=$?
            echo $code >backup.code
            "$PYTHON" -m chatlake sql --format csv "SELECT count(*) FROM messages"
            "$PYTHON" -m chatlake status >&2
            "$PYTHON" -m chatlake verify >&2
            "$PYTHON" -m chatlake export raw --output raw.jsonl >&2
        """
        done = in_own_mounts(tmp_path, script.replace("$PYTHON", sys.executable))
        again = ended(start(tmp_path, "backup", "--json"))

    assert done.code == 0, done.err
    assert (tmp_path / "backup.code").read_text() == "1\n"
    error = json.loads((tmp_path / "backup.json").read_text())["error"]
    assert (error["kind"], "Read-only" in error["message"]) == ("unwritable", True)
    assert "Mount the file system writable" in error["hint"]
    assert int(done.out.split()[1]) > 30
    assert len((tmp_path / "raw.jsonl").read_text().splitlines()) == 30
    assert again.json["sources"][0]["new"] == 3
