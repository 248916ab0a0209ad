"""The log of the server that `chatlake serve` starts: appended to, dated, bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from chatlake.flows.serve.server_log import KEPT, ServerLog

WRITE = "import sys; [print(sys.argv[1], flush=True) for _ in range(int(sys.argv[2]))]"


def write(log: ServerLog, word: str, times: int = 1) -> None:
    """Let another process write to the log, as a server does."""
    with log.opened("a server starts") as file:
        subprocess.run([sys.executable, "-c", WRITE, word, str(times)], stdout=file, check=True)


def test_a_restart_keeps_what_the_server_before_has_said(tmp_path: Path) -> None:
    """Both logs are there, each after a dated line; the current output is only the second's."""
    path = tmp_path / "home" / "chatlake-serve.log"
    write(ServerLog(path), "why-it-died")
    second = ServerLog(path)
    write(second, "hello")

    first, died, again, hello = path.read_text().splitlines()
    assert (died, hello) == ("why-it-died", "hello")
    assert first.startswith("=== 20")
    assert again.endswith("UTC: a server starts")
    assert second.said() == "hello\n"


def test_a_log_that_grows_is_cut_under_the_servers_hands(tmp_path: Path) -> None:
    """The server writes on at the start of the emptied file; parts are bounded."""
    log = ServerLog(tmp_path / "log", largest=1000)
    with log.opened("a server starts") as file:
        for number in range(9):
            subprocess.run(
                [sys.executable, "-c", WRITE, f"{number}" * 300, "4"], stdout=file, check=True
            )
            log.rotate()

    parts = sorted(path.name for path in tmp_path.iterdir())
    assert parts == ["log", *(f"log.{number}" for number in range(1, KEPT + 1))]
    assert log.path.read_bytes() == b""
    assert (tmp_path / "log.1").read_text() == ("8" * 300 + "\n") * 4
    assert (tmp_path / "log.3").read_text() == ("6" * 300 + "\n") * 4
    assert (tmp_path / "log.1").stat().st_mode & 0o077 == 0
    write(log, "after")
    assert log.said() == "after\n"


def test_a_small_log_and_one_that_cannot_be_rotated_stay(tmp_path: Path) -> None:
    """A disk that is full, or a name that is a folder, does not end the server."""
    log = ServerLog(tmp_path / "log", largest=1000)
    write(log, "word")
    log.rotate()
    assert "word" in log.path.read_text()
    (tmp_path / "log.2").touch()
    (tmp_path / "log.3").mkdir()
    write(log, "word" * 100, 4)
    log.rotate()
    assert log.path.stat().st_size > 1000
