"""`chatlake sql -i`: one query after another, with the same limits."""

from __future__ import annotations

import os
import pty
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatlake.lake.lake import Lake
from tests.command_line import CommandLine, environment
from tests.support import settings_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty lake and its configuration."""
    settings = settings_for(tmp_path, "http://127.0.0.1:1/v1")
    Lake.open(settings.lake_location, create=True)
    return tmp_path


def test_questions_are_answered_in_turn_and_errors_end_only_themselves(folder: Path) -> None:
    """Lines up to `;` are one question; what writes is refused, and the next is answered."""
    typed = "SELECT 41\n + 1 AS a;\nSELEC;\nCOPY (SELECT 1) TO 'x';\n;\nSELECT 7 AS b"
    done = subprocess.run(
        [sys.executable, "-m", "chatlake", "sql", "-i", "--format", "csv"],
        cwd=folder, env=environment(CHATLAKE_STATE=str(folder / "state")),
        input=typed, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "a\n42\nb\n7\n")
    assert "syntax error" in done.stderr
    assert "read-only" in done.stderr
    assert not (folder / "x").exists()


def test_a_terminal_asks_in_turn(folder: Path) -> None:
    """A question takes lines; Ctrl-C ends a query that computes; the history is its owner's."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "chatlake", "sql", "-i"],
        cwd=folder, env=environment(
            CHATLAKE_STATE=str(folder / "state"), TERM="xterm", PAGER="cat",
            PROMPT_TOOLKIT_NO_CPR="1",
        ),
        stdin=other, stdout=other, stderr=other,
    )  # fmt: skip
    os.close(other)
    seen = b""
    for wanted, typed in (
        (b"chatlake>", b"SELECT 6\r"),
        (b"...>", b"* 7;\r"),
        (b"42", b""),
        (b"chatlake>", b"SELECT sum(a.range * b.range) FROM range(100000000) a, range(99999) b;\r"),
        (b"99999", b"WAIT"),
        (b"interrupted", b""),
        (b"chatlake>", b".tables\r"),
        (b"tool_calls", b""),
        (b"chatlake>", b"\x04"),
    ):
        end = time.monotonic() + 60
        while wanted not in seen:
            assert time.monotonic() < end, (wanted, seen)
            if select.select([main], [], [], 1)[0]:
                seen += os.read(main, 1000)
        seen = seen.partition(wanted)[2]
        if typed == b"WAIT":  # until the query runs; then Ctrl-C, as the terminal sends it
            time.sleep(1)
            process.send_signal(signal.SIGINT)
        else:
            os.write(main, typed)
    assert process.wait(60) == 0
    os.close(main)

    history = folder / "state/sql-questions"
    assert "+SELECT 6\n+* 7;" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "words", [(), ("SELECT 1", "-i"), ("-i", "--json"), ("-i", "--output", "x")]
)
def test_a_question_or_a_prompt(
    capsys: pytest.CaptureFixture[str], folder: Path, words: tuple[str, ...]
) -> None:
    """Neither, or both: exit code 2."""
    assert CommandLine(capsys)("sql", "--config", str(folder / "chatlake.yaml"), *words).code == 2
