"""The command line and the simulators in processes of their own, none of which outlives the storm."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatlake import failpoints

KEY_VARIABLE = "CHATLAKE_SOAK_KEY"
CHILD_SECONDS = 300.0
"""Longer than any run may take: then it hangs."""


class ProcessGroup:
    """Processes that end together, also one whose start was interrupted."""

    def __init__(self) -> None:
        self._leader: int | None = None
        self._all: list[subprocess.Popen[bytes]] = []
        self._is_over = False
        self._lock = threading.Lock()

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process; the first has to live as long as any other is started.

        RuntimeError once all were stopped.
        """
        with self._lock:
            if self._is_over:
                raise RuntimeError("the storm is over")
            child = subprocess.Popen(command, process_group=self._leader or 0, **options)
            self._leader = self._leader or child.pid
            self._all.append(child)
            return child

    def stop(self) -> None:
        """Kill all of them."""
        with self._lock:
            self._is_over = True
        if self._leader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._leader, signal.SIGKILL)
        for child in self._all:
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


@dataclass(slots=True)
class Ended:
    """How a run of the command line ended. `hangs`: it had to be killed."""

    code: int
    seconds: float
    words: str
    errors: str
    report: dict[str, Any] | None = None
    hangs: bool = False

    def lacks_only(self, absent: Mapping[str, Iterable[str]]) -> bool:
        """Whether it is incomplete for nothing but completions that their source does not show.

        Only a list that would show them closes such gaps: a full sweep always does.
        """
        failures = (self.report or {}).get("failures", [])
        return self.code == 3 and all(
            failure["reason"] == "not_found"
            and failure["completion_id"] in absent[failure["source"]]
            for failure in failures
        )

    @property
    def error_kind(self) -> str:
        """The word that the report has for what went wrong."""
        return str((self.report or {}).get("error", {}).get("kind", ""))


class Children:
    """Runs of the command line; `lake` is where they write, `folder` for all that they leave."""

    def __init__(self, group: ProcessGroup, config: Path, lake: Path, folder: Path) -> None:
        self._group = group
        self._config = config
        self._lock = lake / ".lock"
        self._folder = folder
        self._running: dict[subprocess.Popen[bytes], tuple[float, str, Path]] = {}
        self._started = 0

    def start(
        self, *words: str, failpoint: str = "", timezone: str = "UTC"
    ) -> subprocess.Popen[bytes]:
        """Start `chatlake WORDS --json`; with `failpoint` it kills itself there."""
        self._started += 1
        path = self._folder / f"{self._started:04}-{words[0]}"
        environment = {**os.environ, KEY_VARIABLE: "sk-soak-000000000000"}
        environment |= {"TZ": timezone, "TMPDIR": str(self._folder)}
        environment["CHATLAKE_STATE"] = str(self._folder / "state")
        environment.pop(failpoints.VARIABLE, None)
        if failpoint:
            environment |= {failpoints.VARIABLE: failpoint, failpoints.SWITCH: "1"}
        command = [
            sys.executable,
            "-m",
            "chatlake",
            *words,
            "--json",
            "--config",
            str(self._config),
        ]
        with path.with_suffix(".out").open("wb") as out, path.with_suffix(".err").open("wb") as err:
            child = self._group.start(command, stdout=out, stderr=err, env=environment)
        self._running[child] = time.monotonic(), " ".join(words), path
        return child

    def wait(self, child: subprocess.Popen[bytes]) -> Ended:
        """Wait until it ends; killed where it hangs."""
        began, words, path = self._running[child]
        hangs = False
        try:
            child.wait(max(1.0, began + CHILD_SECONDS - time.monotonic()))
        except subprocess.TimeoutExpired:
            hangs = True
            child.kill()
            child.wait()
        del self._running[child]
        report = None
        with contextlib.suppress(ValueError):
            report = json.loads(path.with_suffix(".out").read_bytes())
        errors = path.with_suffix(".err").read_text(errors="backslashreplace")
        seconds = time.monotonic() - began
        return Ended(child.returncode, seconds, words, errors, report, hangs)

    def run(self, *words: str) -> Ended:
        """Start it and wait."""
        return self.wait(self.start(*words))

    def wait_until_writing(self, child: subprocess.Popen[bytes]) -> bool:
        """Wait until the child has the lake's lock; False if it ends before, or never gets it."""
        end = time.monotonic() + CHILD_SECONDS
        while child.poll() is None and time.monotonic() < end:
            if self.is_writing(child):
                return True
            time.sleep(0.01)
        return False

    def is_writing(self, child: subprocess.Popen[bytes]) -> bool:
        """Whether the child has the lake's lock."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads(self._lock.read_bytes())["pid"] == child.pid)
        return False
