"""A simulator in a process of its own."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx

from chatlake.simulator.scenario import Scenario
from tests.soak.children import KEY_VARIABLE, ProcessGroup
from tests.soak.exact import exact
from tests.soak.mirror import Change, Mirror


class Source:
    """What the runs back up, and the mirror of what it was made to hold."""

    def __init__(self, name: str, scenario: Scenario) -> None:
        self.name = name
        self.mirror = Mirror(scenario)
        self.base_url = ""
        self._scenario = scenario
        self._http = httpx.Client(trust_env=False, timeout=60)

    def start(self, group: ProcessGroup, folder: Path) -> None:
        """Start the process and wait for its address."""
        command = [sys.executable, "-m", "chatlake.simulator", "--port", "0", "--exit-with-parent"]
        defaults = Scenario()
        for spec in dataclasses.fields(Scenario):
            value = getattr(self._scenario, spec.name)
            if value != getattr(defaults, spec.name):
                flag = "--" + spec.name.replace("_", "-")
                command += [flag] if value is True else [flag, str(value)]
        log = folder / f"{self.name}.log"
        with log.open("wb") as errors:
            process = group.start(command, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        self.base_url = process.stdout.readline().decode().strip()
        if not self.base_url:
            raise RuntimeError(f"the simulator did not start: {log.read_text()}")

    def entry(self, *, lookback: str, pace: dict[str, Any]) -> dict[str, Any]:
        """Return its entry in a configuration; full sweeps are left to the caller."""
        return {
            "name": self.name,
            "base_url": self.base_url,
            "api_key": f"${{{KEY_VARIABLE}}}",
            "lookback": lookback,
            "full_sweep_every": None,
            "pace": pace,
        }

    def close(self) -> None:
        """Close the connections to it."""
        self._http.close()

    def ask(self, action: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Send a request to the admin route `action`: POST with a body, GET without."""
        url = f"{self.base_url.removesuffix('/v1')}/_simulator/{action}"
        answer = self._http.get(url) if body is None else self._http.post(url, json=body)
        return answer.raise_for_status()

    def set_faults(self, faults: dict[str, Any]) -> Counter[str]:
        """Replace the faults; returns those that happened since the last time."""
        stats = self.ask("stats").json()
        happened = Counter[str](stats["faults"])
        outage = stats["statuses"].get("503", 0) - happened["error_503"]
        if outage > 0:
            happened["outage"] = outage
        self.ask("faults", faults)
        self.ask("reset", {})
        return happened

    def apply(self, changes: Iterable[Change]) -> None:
        """Make changes that the mirror holds already."""
        for action, body in changes:
            self.ask(action, body)

    def truth(self) -> Iterator[dict[str, Any]]:
        """Everything that the source shows, oldest first."""
        for line in self.ask("truth").content.splitlines():
            yield exact(line)
