"""Programs that stand in for a cloud, on loopback, for as long as the tests run."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

import pytest

# Ends the program when its input does: that of the tests' process, however that one ends.
KEEPER = """
exec 3<&0
"$@" 3<&- & program=$!
{ read -r _ <&3; kill $program; } & watcher=$!
wait $program
kill $watcher
"""
START_S = 30


@contextmanager
def program(command: list[str], ready: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a program until the block ends; give the first group of the line that says it is ready.

    RuntimeError with what it wrote if it ends before.
    """
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "sh", *command],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        yield _said(output.fileno(), ready, process)  # leaving Popen's block closes its input


def _said(output: int, ready: str, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + START_S
    while True:
        has_ended = process.poll() is not None
        text = os.pread(output, 1 << 16, 0).decode(errors="replace")
        if found := re.search(ready, text):
            return found[1]
        if has_ended or time.monotonic() > until:
            raise RuntimeError(f"{process.args!r} did not start: {text}")
        time.sleep(0.02)


def missing(what: str) -> NoReturn:
    """Leave a test out for want of a stand-in; where `CI` is set it has to be there."""
    reason = f"{what} is not installed: see the first lines of `make test-slow`"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
