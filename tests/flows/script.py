"""A flow's script, started as a person or cron does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.flows.migrated import environment
from tests.support import KEY, KEY_VARIABLE

REPOSITORY = Path(__file__).parents[2]


def start(script: str, *arguments: str, home: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a flow's script with a Prefect home of its own."""
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "flows" / script), *arguments],
        env={**environment(PREFECT_HOME=str(home)), KEY_VARIABLE: KEY, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a script; returns exit code, standard output and standard error."""
    out, err = process.communicate(timeout=110)
    return process.returncode, out, err
