"""Whether the Prefect server of `chatlake serve` answers: the container's health check.

`python -m chatlake.flows.health`: the server of `PREFECT_API_URL`, else the one that `serve` starts
on its usual port. Exit code 0 or 1. Importing the package has exempted loopback from the proxy.
"""

from __future__ import annotations

import os
import sys
import urllib.request

_OWN = "http://127.0.0.1:4200/api"
_SECONDS = 8.0


def main() -> int:
    """Ask the server for its health; returns the exit code."""
    url = (os.environ.get("PREFECT_API_URL") or _OWN).rstrip("/")
    if not url.startswith(("http://", "https://")):
        print(f"PREFECT_API_URL: expected http(s)://…/api, got {url}", file=sys.stderr)
        return 1
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=_SECONDS):  # noqa: S310 - http(s)
            return 0
    except (OSError, ValueError) as problem:
        print(f"{url} does not answer: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
