"""The Prefect server that a run starts for itself: where it answers, and to whom it does not."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import httpx

from tests.flows.prefect_api import NO_TLS
from tests.flows.prefect_server import processes_with

PATIENCE_S = 110


def server_of(home: Path) -> str:
    """Wait until the server of a Prefect home answers; returns its address."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for address in servers_of(home):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{address}/api/health", trust_env=False, verify=NO_TLS).is_success:
                    return address
        time.sleep(0.3)
    raise AssertionError("no server has started")


def servers_of(home: Path) -> set[str]:
    """Return the addresses of the servers of a Prefect home that are up, or starting."""
    found = set()
    for pid in processes_with(str(home)):
        with contextlib.suppress(OSError, ValueError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            found.add(f"http://127.0.0.1:{words[words.index('--port') + 1]}")
    return found


def servers_until_end(process: subprocess.Popen[str], home: Path) -> set[str]:
    """Wait until a process has ended; returns the servers that its Prefect home had meanwhile."""
    seen = servers_of(home)
    while process.poll() is None:
        seen |= servers_of(home)
        time.sleep(0.3)
    return seen


def require_guarded(address: str) -> None:
    """See that a server answers neither another user of this machine nor a web page."""
    for route in ("block_documents/filter", "flow_runs/filter"):
        answer = httpx.post(f"{address}/api/{route}", json={}, trust_env=False)
        assert answer.status_code == 401, answer.text
    asked = httpx.options(
        f"{address}/api/block_documents/filter",
        headers={"Origin": "https://example.com", "Access-Control-Request-Method": "POST"},
        trust_env=False,
    )
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers
