"""Programs that others wrote, in a virtual environment of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.stand_in import missing

CHECK = Path(__file__).parents[1] / "readers" / "check.py"


class _Answers(Protocol):
    def __call__(self, python: str, folder: Path, *words: str) -> Any:
        """Answer what `check.py` is asked, in a folder, by that Python."""


@pytest.fixture(scope="module")
def _readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Answers]:
    """Start one process of `check.py` for each Python: importing these programs takes longest."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        "HOME": str(home),
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    started: dict[str, subprocess.Popen[str]] = {}
    with contextlib.ExitStack() as ending, (home / "said").open("w+") as said:

        def answer(python: str, folder: Path, *words: str) -> Any:
            if python not in started:
                started[python] = ending.enter_context(
                    subprocess.Popen(
                        [python, CHECK],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=said,
                        env=environment,
                        text=True,
                    )
                )
            process = started[python]
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps([str(folder), *words]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"it ended: {(home / 'said').read_text()}"
            answered = json.loads(line)
            assert "error" not in answered, answered["error"]
            return answered["answer"]

        yield answer


@pytest.fixture
def ask(tmp_path: Path, _readers: _Answers) -> Callable[..., Any]:
    """Give what asks the programs by `check.py`, or leave the test out."""
    python = os.environ.get("CHATLAKE_READERS_PYTHON", "")
    if not Path(python).is_file():
        missing("what reads the exports (requirements-readers.lock)")

    def run(*words: str | Path, python: str = python) -> Any:
        return _readers(python, tmp_path, *map(str, words))

    return run
