"""Calling the command line: in this process, or as a process of its own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chatlake.cli import main
from tests import preloaded
from tests.support import KEY, KEY_VARIABLE


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


@dataclass(slots=True)
class CommandLine:
    """Runs commands in this process, in the folder of the configuration."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Ended:
        """Run `chatlake WORDS`."""
        self.capture.readouterr()
        with _own_logging():
            code = main(words)
        out, err = self.capture.readouterr()
        return Ended(code, out, err)


@contextmanager
def _own_logging() -> Iterator[None]:
    logger = logging.getLogger("chatlake")
    before = list(logger.handlers)
    levels = {
        name: logging.getLogger(name).level for name in ("chatlake", "chatlake.backup.failures")
    }
    try:
        yield
    finally:
        logger.handlers[:] = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a command: the tests' key, no colours, this source tree."""
    source = str(Path(__file__).parents[1] / "src")
    return {**os.environ, KEY_VARIABLE: KEY, "PYTHONPATH": source, "NO_COLOR": "1", **more}


WHOLE = (sys.executable, "-W", "error", "-m", "chatlake")
"""The program from its first instruction on."""


def start(
    folder: Path,
    *words: str,
    env: Mapping[str, str] | None = None,
    whole: bool = False,
    **options: Any,
) -> subprocess.Popen[str]:
    """Start `chatlake WORDS` in a folder; its outputs are pipes unless told otherwise.

    It begins with everything imported (`tests/preloaded.py`). `whole`: it is `python -m chatlake`,
    and the number of the process that of what is returned.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [*(WHOLE if whole else preloaded.command()), *words],
        cwd=folder,
        env=environment(**(env or {})),
        text=True,
        **{**pipes, **options},
    )


def ended(process: subprocess.Popen[str], timeout_s: float = 60.0) -> Ended:
    """Wait for a command that was started."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return Ended(process.returncode, out or "", err or "")
