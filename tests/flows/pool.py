"""A Prefect server and a worker of a work pool as processes of their own, to be killed and started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.flows import prefect_api
from tests.flows.migrated import environment, used_home
from tests.flows.prefect_api import NO_TLS, PATIENCE_S
from tests.flows.prefect_server import processes_with
from tests.support import KEY, KEY_VARIABLE

REPOSITORY = Path(__file__).parents[2]


@dataclass(slots=True)
class Pool:
    """A server and a worker in one Prefect home, set up as docs/scheduling.md says."""

    folder: Path
    config: Path
    port: int
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The server's API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def home(self) -> Path:
        """The Prefect home, which is in the environment of every process of the pool."""
        return self.folder / "pool-home"

    def prefect(self, *words: str) -> str:
        """Run the command `prefect` in the checkout; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *words],
            env=self._environment(),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_server(self) -> None:
        """Start the server and wait until it answers."""
        self._start("server", "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        self.until(self._answers)

    def start_worker(self) -> None:
        """Start a worker that looks for runs every second, if there is none."""
        if "worker" not in self.started:
            self._start("worker", "worker", "start", "--pool", "chatlake")

    def kill(self, *names: str) -> None:
        """Kill these processes, as a power loss does; `run`: every process of a flow run."""
        if "run" in names:
            own = {process.pid for process in self.started.values()}
            for process in set(processes_with(str(self.home))) - own:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        for name in {"server", "worker"} & {*names}:
            process = self.started.pop(name)
            process.kill()
            process.wait()

    def ask(self, route: str, document: dict[str, Any] | None = None, method: str = "POST") -> Any:
        """Send a document to the server's API; returns the answer's JSON."""
        return prefect_api.ask(f"{self.url}/{route}", document, method)

    def begin(self, deployment: str) -> str:
        """Start a run of a deployment; returns the run's id."""
        return prefect_api.begin(self.url, deployment)

    def state(self, run: str) -> tuple[str, str, str]:
        """Return type, name and message of a run's state."""
        return prefect_api.state(self.url, run)

    def until_ended(self, run: str) -> tuple[str, str, str]:
        """Wait for a run's end; returns its state."""
        ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        self.until(lambda: self.state(run)[0] in ended)
        return self.state(run)

    def until(self, holds: Any) -> None:
        """Wait until something holds."""
        end = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if holds():
                    return
            assert time.monotonic() < end, f"it did not come to that; {self.output()}"
            time.sleep(1)  # more often would keep the server busy

    def output(self) -> str:
        """Return what the processes have written last."""
        return "\n".join(
            f"{log.name}: {log.read_text(errors='replace')[-3000:]}"
            for log in sorted(self.folder.glob("pool-*.log"))
        )

    def _start(self, name: str, *words: str) -> None:
        with (self.folder / f"pool-{name}.log").open("a") as log:
            self.started[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *words],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _environment(self) -> dict[str, str]:
        return {
            **environment(),
            KEY_VARIABLE: KEY,
            "CHATLAKE_CONFIG": str(self.config),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            # What takes minutes by default.
            "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "2",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
            "PREFECT_LOGGING_COLORS": "false",
        }

    def _answers(self) -> bool:
        return httpx.get(f"{self.url}/health", trust_env=False, verify=NO_TLS).is_success


@contextlib.contextmanager
def pool(folder: Path, config: Path) -> Iterator[Pool]:
    """Run a server with a work pool, without deployments or worker; at the end nothing is left."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        made = Pool(folder, config, probe.getsockname()[1])
    try:
        used_home(made.home)
        made.start_server()
        made.prefect("work-pool", "create", "chatlake", "--type", "process")
        yield made
    finally:
        made.kill("run", *made.started)
        assert json.dumps(processes_with(str(made.home))) == "[]"
