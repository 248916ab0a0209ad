"""The bench server, started in a process of its own and stopped at the end of a block."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.request import ProxyHandler, build_opener

from bench.measured import ROOT, BenchError, environment

_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Figures:
    """What a server sent since it was last asked; `seconds` from the first answer to the last."""

    requests: int
    limited: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Server:
    """A running bench server, and what it holds.

    `messages`: input messages; `choices`: replies; `bytes`: of JSON, each object once.
    """

    base_url: str
    completions: int
    messages: int
    choices: int
    bytes: int

    def figures(self) -> Figures:
        """Return what was sent since this was last asked."""
        return Figures(**self._control("figures"))

    def show_only(self, count: int) -> Server:
        """Show only the first `count` completions from now on; return the server as it is then."""
        return replace(self, **self._control(f"visible?count={count}"))

    def _control(self, what: str) -> dict[str, Any]:
        with _opener.open(f"{self.base_url}/bench/{what}", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def serving(completions: int, **options: float | str) -> Iterator[Server]:
    """Run a server of `completions`; `options` as `python -m bench.server --help` has them."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server", f"--completions={completions}", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    try:
        line = process.stdout.readline()
        if not line:
            raise BenchError("the bench server did not start")
        yield Server(**json.loads(line))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=30)
