"""One program from its start to its end: wall time, CPU, the peak of its memory.

CPU is user and system time of the process and of the children that it waited for; memory is the
largest resident set of any one of them. Both from `os.wait4`, so from the kernel.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 900.0


class BenchError(Exception):
    """A contestant failed or did not do the work, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one program took; `output` is its standard output, `rss_mb` in units of 2**20 bytes."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    output: str

    def peak_mb(self) -> float:
        """Return the peak of memory; BenchError where it cannot be known.

        What the kernel reports is at least the peak of the process that started the program. So the
        harness must stay small: it imports neither pyarrow nor DuckDB.
        """
        own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if self.rss_mb <= own_mb:
            raise BenchError("the program's memory cannot be told from that of the harness")
        return self.rss_mb


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a contestant: chatlake is that of this checkout, no proxies."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **(extra or {})}


def measured(
    command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None
) -> Measured:
    """Run a program to its end; BenchError, with what it said, where it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            [os.fspath(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=environment(env),
        )
        usage, status = _wait(process, began + TIMEOUT_S)
        wall_s = time.monotonic() - began
        output.seek(0)
        errors.seek(0)
        said, complained = output.read().decode(), errors.read().decode()
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise BenchError(
            f"{_short(command)} ended with {code}:\n{said[-1000:]}{complained[-3000:]}"
        )
    cpu_s = usage.ru_utime + usage.ru_stime
    return Measured(wall_s, cpu_s, usage.ru_maxrss / 1024, said)


def _wait(process: subprocess.Popen[bytes], until: float) -> tuple[resource.struct_rusage, int]:
    while True:
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage, status
        if time.monotonic() > until:
            process.kill()
            until = float("inf")
        time.sleep(0.005)


def python(*words: str | os.PathLike[str], interpreter: str = sys.executable) -> list[str]:
    """Return the command that runs Python with `words`."""
    return [interpreter, *(os.fspath(word) for word in words)]


def _short(command: Sequence[str | os.PathLike[str]]) -> str:
    return " ".join(Path(word).name for word in command[:4])
