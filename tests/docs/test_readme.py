"""README.md: its session runs and prints what it shows, its SQL and its configurations work."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatlake.config import Settings, parse_settings
from tests.docs.markdown import ROOT, blocks, session
from tests.support import NOW, rows

README = ROOT / "README.md"
HOME = "/home/you/try"
PORT = "8080"

_VOLATILE = (
    (re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b"), "<run>"),
    (re.compile(r"\b\d[\d,.]* (?:s|min|h|d)\b(?: \d+ (?:s|min|h)\b)?"), "<time>"),
    (re.compile(r"\b\d[\d,.]* (?:B|KiB|MiB|GiB)\b"), "<size>"),
    (re.compile(r"\bCommit \d+, fingerprint [0-9a-f]{12}\b"), "<fingerprint>"),
    (re.compile(r"\+\d+ files\b"), "<files>"),  # a day more or less, by the time of day
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*(?: UTC)?"), "<moment>"),
    (re.compile(r" +"), " "),
    (re.compile(r"[─-]+"), "-"),
)


def first_session() -> str:
    """The console block that starts the simulator."""
    return next(block for block in blocks(README, "console") if "chatlake simulate" in block)


def stable(lines: list[str], folder: Path, port: str) -> list[str]:
    """The lines without what differs from run to run: durations, run ids, sizes, paths."""
    text = "\n".join(lines).replace(str(folder.resolve()), HOME).replace(f":{port}", f":{PORT}")
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def free_port() -> str:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


class Shell:
    """Runs the commands of a session in one folder; `export` lasts, `&` runs until the end."""

    def __init__(self, folder: Path, port: str) -> None:
        self.folder = folder
        self.port = port
        self._background: list[subprocess.Popen[bytes]] = []
        bin_folder = Path(sys.executable).parent
        self.environment = {
            "PATH": os.pathsep.join((str(bin_folder), os.environ["PATH"])),
            "HOME": str(folder),
            "COLUMNS": "100",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, command: str) -> list[str]:
        """Run one command; return the lines that it prints."""
        command = command.replace(PORT, self.port)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = shlex.split(value)[0]
            return []
        if command == "kill %1":
            self.close()
            return []
        if command.endswith("&"):
            return self._start(command)
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout.splitlines()

    def _start(self, command: str) -> list[str]:
        """Start a server, at a fixed time, and wait until it answers."""
        words = shlex.split(command.partition(">")[0])
        self._background.append(
            subprocess.Popen(
                [*words, "--now", str(NOW)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", int(self.port))) == 0:
                    return []
            time.sleep(0.05)
        raise AssertionError(f"{command} does not answer")

    def close(self) -> None:
        """End what runs in the background."""
        while self._background:
            process = self._background.pop()
            process.terminate()
            process.wait(timeout=20)


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A shell that ends the processes that it started."""
    opened = Shell(folder, free_port())
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.slow
def test_session_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """Pasting the session line by line gives the README's output."""
    with shell(tmp_path) as opened:
        for step in session(first_session()):
            printed = opened.run(step.command)
            shown = stable(step.output, tmp_path, PORT)
            assert stable(printed, tmp_path, opened.port) == shown, step.command


@pytest.mark.parametrize("query", blocks(README, "sql"))
def test_queries_run(query: str, small_lake: Settings) -> None:
    """Each query of the README runs; all but that of the gaps find something."""
    found = rows(small_lake, query)

    assert found or "failures" in query


@pytest.mark.parametrize("text", blocks(README, "yaml"))
def test_configurations_are_valid(text: str) -> None:
    """Each source that the README shows makes a valid configuration."""
    settings = parse_settings(f"version: 1\nlake: lake\n{text}", Path("chatlake.yaml"))

    assert len(settings.sources) == 1


def test_commands_and_files_exist() -> None:
    """Every command and file that the README names is there."""
    from docs.generate import command_names

    text = "\n".join(blocks(README, "console")) + (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^\$ |`)chatlake ([a-z]+)", text, re.MULTILINE))
    files = set(re.findall(r"\b((?:flows|docs|config)/\w+\.\w+)", text))

    assert named <= {name.split()[0] for name in command_names()}
    assert {name for name in files if not (ROOT / name).exists()} == set()
