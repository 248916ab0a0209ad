"""A Prefect server in a process of its own, and what it takes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from bench.measured import BenchError, environment

_START_S = 120.0
_SETTLE_S = 4.0
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A running server; `url`: of its API; `home`: PREFECT_HOME of server and flows."""

    url: str
    home: Path
    pid: int

    @property
    def env(self) -> dict[str, str]:
        """What a flow needs in its environment."""
        return {"PREFECT_API_URL": self.url, "PREFECT_HOME": str(self.home)}

    def cpu_s(self) -> float:
        """Return the CPU that it has used so far, once it has finished its work."""
        time.sleep(_SETTLE_S)
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2]
        ticks = fields.split()[11:13]  # utime and stime, proc(5)
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def task_runs(self) -> int:
        """Return how many task runs it knows of."""
        place = urlsplit(self.url)
        connection = HTTPConnection(place.hostname or "", place.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"{place.path}/task_runs/count", "{}", headers)
        found: int = json.load(connection.getresponse())
        connection.close()
        return found


@contextmanager
def prefect_server(home: Path) -> Iterator[PrefectServer]:
    """Run a server with its own home on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    process = subprocess.Popen(
        [sys.executable, *words],
        env=environment({"PREFECT_HOME": str(home), **quiet}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(url)
        yield PrefectServer(url, home, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url: str) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            with _opener.open(f"{url}/health", timeout=5):
                return
        except URLError as error:
            if time.monotonic() > until:
                raise BenchError("the Prefect server did not start") from error
            time.sleep(0.2)
