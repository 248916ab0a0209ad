"""The storm of `tests/soak` leaves nothing behind when it is ended early."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import environment

ROOT = Path(__file__).parents[2]


def _until(holds: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(holds())


def _processes_with(text: bytes) -> list[str]:
    """Processes that have `text` in their environment; empty where the system has no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text in path.read_bytes():
                found.append(path.parent.name)
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_storm_that_is_ended_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Ended by a signal while a backup runs, the storm takes simulators, runs and files with it."""
    mark = f"TMPDIR={tmp_path}".encode()
    storm = subprocess.Popen(
        [sys.executable, "-m", "tests.soak", "--seconds", "60", "--completions", "300"],
        cwd=ROOT,
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert _until(lambda: list(tmp_path.glob("chatlake-soak-*/lake/.lock")), 60)
        storm.send_signal(number)
        _, errors = storm.communicate(timeout=30)
    finally:
        storm.kill()
    assert (storm.returncode, errors) == (128 + number, b"")
    assert _until(lambda: not _processes_with(mark), 5)
    assert list(tmp_path.iterdir()) == []
