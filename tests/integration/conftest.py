"""Programs that others wrote, in a virtual environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stand_in import missing

CHECK = Path(__file__).parents[1] / "readers" / "check.py"


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Any]:
    """Give what runs `check.py` with the programs, or leave the test out."""
    python = os.environ.get("CHATLAKE_READERS_PYTHON", "")
    if not Path(python).is_file():
        missing("what reads the exports (requirements-readers.lock)")
    home = str(tmp_path / "home")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        "HOME": home,
        "HF_HOME": home,
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }

    def run(kind: str, *words: str | Path, python: str = python) -> Any:
        done = subprocess.run(
            [python, CHECK, kind, *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout.splitlines()[-1])

    return run
