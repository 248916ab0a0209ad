"""SIGINT and SIGTERM at any moment: the right exit code, no traceback, nothing left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.config import load_settings
from chatlake.errors import LakeNotFoundError
from chatlake.simulator import Running, Scenario, running
from tests.command_line import ended, environment, start
from tests.support import NOW, rows, write_config

PIPE_BYTES = 4096
STARTING = ("Could not import runpy", "Failed to import the site module")
"""Python's own words for a signal that came before it ran a program."""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
both = pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Serve some completions, slowly enough for a signal to come in between."""
    with running(Scenario(completions=60, seed=5, now=NOW, latency_ms=15)) as server:
        yield server


@pytest.mark.sample(1)
@both
@pytest.mark.parametrize("tenths", [1, 3, 5, 8, 12, 18])
def test_a_signal_after(
    server: Running, tmp_path: Path, number: signal.Signals, tenths: int
) -> None:
    """While it starts, lists, fetches or commits, or at its end: no lake is left, or a whole one."""
    write_config(tmp_path, server.base_url, pace={"concurrency": 4})
    # As users start it, not with warnings as errors: an import that is cut off leaves a file open.
    process = subprocess.Popen(
        [sys.executable, "-m", "chatlake", "backup"], cwd=tmp_path, env=environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(tenths / 10)
    process.send_signal(number)
    done = ended(process, 30)

    if done.code == 1 and any(words in done.err for words in STARTING):
        return  # on a busy machine Python was still starting, and read no line of ours
    if done.code == -number and "chatlake/cli/" not in done.err:
        return  # it came before chatlake could say what a signal does: Python's own traceback
    if done.code == -signal.SIGABRT and "nanobind" in done.err:
        return  # it came inside DuckDB's own import, whose C++ cannot pass an exception on
    # 0: it had ended. Negative: the interpreter itself was still starting; a shell shows the same.
    assert done.code in {0, CODES[number], -number}
    assert "Traceback" not in done.err
    try:
        lake = open_lake(load_settings(tmp_path / "chatlake.yaml"))
    except LakeNotFoundError:
        return
    assert lake.storage.lock_holder() is None
    assert [f.path for f in lake.storage.list() if f.path.endswith(".tmp")] == []
    settings = load_settings(tmp_path / "chatlake.yaml")
    uncounted = """SELECT completion_id FROM completions LEFT JOIN
        (SELECT completion_id, count(*) AS n FROM messages GROUP BY ALL) USING (completion_id)
        WHERE message_count <> coalesce(n, 0)"""
    assert rows(settings, uncounted) == []
    assert rows(settings, "SELECT status FROM runs WHERE status = 'running'") == []


@both
def test_a_signal_while_the_program_is_imported(tmp_path: Path, number: signal.Signals) -> None:
    """Nothing has begun: the process ends at once, and says nothing."""
    # A module that the command line imports first, and that sends the signal from within.
    (tmp_path / "typer.py").write_text(f"import os\nos.kill(os.getpid(), {number.value})\n")
    done = subprocess.run(
        [sys.executable, "-m", "chatlake", "--version"],
        env=environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}"),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (CODES[number], "", "")


@pytest.mark.sample(1)
@both
def test_a_signal_to_a_command_that_only_reads(
    server: Running, tmp_path: Path, number: signal.Signals
) -> None:
    """An export that is stopped leaves no file half written, and says so in one document."""
    write_config(tmp_path, server.base_url)
    assert ended(start(tmp_path, "backup")).code == 0
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        # Nobody reads: the export waits in the middle of its lines when the signal comes.
        process = start(tmp_path, "export", "raw", "--output", "pipe")
        deadline = time.monotonic() + 60
        while not _waiting_bytes(pipe):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        time.sleep(0.2)
    finally:
        os.close(pipe)
    done = ended(process, 30)

    assert done.code == CODES[number]
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 2
    assert {path.name for path in tmp_path.iterdir()} == {"chatlake.yaml", "lake", "pipe"}


_ENDLESS = "(SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000) b) > 0"


@pytest.mark.sample(2)
@both
@pytest.mark.parametrize(
    "words",
    [
        ("sql", f"SELECT {_ENDLESS}"),
        ("sql", f"SELECT {_ENDLESS}", "--format", "parquet", "--output", "x"),
        ("export", "raw", "--where", _ENDLESS, "--output", "x"),
        ("export", "finetune", "--where", _ENDLESS, "--output", "x"),
    ],
)
def test_a_signal_to_a_query_that_computes(
    server: Running, tmp_path: Path, number: signal.Signals, words: tuple[str, ...]
) -> None:
    """DuckDB does not come back to Python for hours; the signal ends the command at once."""
    write_config(tmp_path, server.base_url)
    assert ended(start(tmp_path, "backup")).code == 0
    process = start(tmp_path, *words)
    time.sleep(1.5)  # until the query runs: the command begins with everything imported
    process.send_signal(number)
    done = ended(process, 60)

    # A query that is not stopped is ended by an alarm, after ten seconds and without a word.
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert (done.code, done.err) == (CODES[number], f"error: {word}\n")
    assert {path.name for path in tmp_path.iterdir()} == {"chatlake.yaml", "lake"}


def _waiting_bytes(pipe: int) -> int:
    """Return how many bytes have not been read yet."""
    answer = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)
