"""Fail-points do nothing unless armed, and then exactly what was set."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chatlake import failpoints
from chatlake.errors import UsageError
from chatlake.lake import Lake
from chatlake.model.manifest import CHECKPOINT_EVERY, Manifest
from tests import lake_rows as rows


def test_nothing_happens_unarmed() -> None:
    """Reaching every point of a process without tests raises nothing."""
    for name in failpoints.NAMES:
        failpoints.reach(name)


def test_the_nth_time_raises_and_the_block_s_end_disarms() -> None:
    """`active` raises its error the nth time only, and never after the block."""
    with failpoints.active("commit.started", KeyError("x"), nth=2):
        failpoints.reach("commit.started")
        with pytest.raises(KeyError):
            failpoints.reach("commit.started")
        failpoints.reach("commit.started")
    failpoints.reach("commit.started")


def test_an_unknown_name_is_refused() -> None:
    """A point that does not exist cannot be armed: such a test would test nothing."""
    with pytest.raises(ValueError, match="no fail-point"), failpoints.active("part.eaten"):
        pass


@pytest.mark.parametrize(
    "setting", ["part.eaten:kill", "part.written", "part.written:die", "part.written:kill:x"]
)
def test_a_wrong_setting_is_named(setting: str) -> None:
    """A wrong value of the environment variable is an error that shows it and the names."""
    with pytest.raises(UsageError, match=re.escape(setting)) as caught:
        failpoints.arm_from(setting)
    assert "part.renamed" in caught.value.hint


def test_a_commit_reaches_every_point_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit that brings a checkpoint reaches all names, in the order of the list."""
    reached: list[str] = []
    lake = Lake.open(tmp_path / "lake", create=True)
    with lake.lock():
        for _ in range(CHECKPOINT_EVERY - 1):
            lake.commit(Manifest())
        key = ("completions", rows.DAY)
        monkeypatch.setattr(failpoints, "reach", reached.append)
        parts = lake.write_parts({key: rows.columns("completions", [rows.completion("a")])})
        lake.commit(Manifest(added=parts))
        lake.refresh_catalog(force=True)
        of_the_commit = tuple(dict.fromkeys(reached))
    assert of_the_commit == failpoints.NAMES
    assert os.environ.get(failpoints.VARIABLE) is None


@pytest.mark.parametrize(("switch", "code"), [(None, 0), ("", 0), ("0", 0), ("1", -9)])
def test_a_variable_alone_kills_no_backup(
    switch: str | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside the tests a fail-point in the environment does nothing, and is not even read."""
    monkeypatch.delenv(failpoints.SWITCH)
    if switch is not None:
        monkeypatch.setenv(failpoints.SWITCH, switch)
    reach = "from chatlake import failpoints; failpoints.reach('commit.started')"

    for setting in ("commit.started:kill", *(["nonsense"] if code == 0 else [])):
        monkeypatch.setenv(failpoints.VARIABLE, setting)
        done = subprocess.run([sys.executable, "-c", reach], check=False, timeout=60)

        assert done.returncode == code
