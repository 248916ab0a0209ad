"""Questions to a Prefect server, asked again while its SQLite database is busy, as its client does."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import tenacity

PATIENCE_S = 180
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Given as `verify` for plain HTTP: otherwise httpx reads all certificates of this machine."""


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 503


@tenacity.retry(
    retry=tenacity.retry_if_exception(_is_busy),
    wait=tenacity.wait_fixed(1),
    stop=tenacity.stop_after_delay(PATIENCE_S),
    reraise=True,
)
def ask(url: str, document: dict[str, Any] | None = None, method: str = "POST") -> Any:
    """Send a document to this address of the API and return the answer's JSON; None without any."""
    answer = httpx.request(
        method, url, json=document or {}, trust_env=False, timeout=60, verify=NO_TLS
    )
    answer.raise_for_status()
    return answer.json() if answer.content else None


def begin(api: str, deployment: str) -> str:
    """Start a run of the deployment `flow/name`; returns the run's id."""
    found = ask(f"{api}/deployments/name/{deployment}", method="GET")
    return str(ask(f"{api}/deployments/{found['id']}/create_flow_run")["id"])


def state(api: str, run: str) -> tuple[str, str, str]:
    """Return type, name and message of a run's state."""
    found = ask(f"{api}/flow_runs/{run}", method="GET")["state"]
    return found["type"], found["name"], found["message"] or ""
