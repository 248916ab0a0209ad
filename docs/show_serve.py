"""Show all of `chatlake serve` on this machine: `make serve`.

It starts a simulated API and a Prefect server, waits for one run on a schedule of every minute, and
shows what Prefect recorded. It ends by itself, or with Ctrl-C, and leaves nothing behind.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from chatlake.bootstrap.loopback import exempt_loopback
from chatlake.simulator import Scenario, running

KEY = "show-key"
CONFIG = """\
version: 1
lake: lake
sources:
  - name: demo
    base_url: {url}
    api_key: ${{CHATLAKE_SHOW_KEY}}
schedule: {{cron: "* * * * *", timezone: UTC}}
"""


class Prefect(NamedTuple):
    """The server that `chatlake serve` has started: its address and `user:password`."""

    address: str
    password: str

    def ask(self, route: str, document: dict[str, Any]) -> Any:
        """Post to its API; returns the answer."""
        request = urllib.request.Request(  # noqa: S310 - http, as it was printed
            f"{self.address}/api/{route}",
            json.dumps(document).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Basic {base64.b64encode(self.password.encode()).decode()}",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)


def main() -> int:
    """Serve until one scheduled backup has ended; returns its exit code, 0 for complete."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    exempt_loopback()
    with (
        tempfile.TemporaryDirectory(prefix="chatlake-serve-") as folder,
        running(Scenario(completions=800, seed=7, api_key=KEY)) as server,
    ):
        config = Path(folder, "chatlake.yaml")
        config.write_text(CONFIG.format(url=server.base_url), encoding="utf-8")
        print(f"A simulated API at {server.base_url}; the backup is due every minute.", flush=True)
        with serving(config) as process:
            prefect, state = until_a_run_ended(process)
            if state:
                show_artifacts(prefect)
            print("Ending it as Ctrl-C would …", flush=True)
    return 0 if state.startswith("Completed") else 1


@contextlib.contextmanager
def serving(config: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `chatlake serve` with a Prefect home of its own; at the end none of it is left."""
    unset = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE")
    variables = {name: value for name, value in os.environ.items() if name not in unset}
    variables |= {
        "CHATLAKE_SHOW_KEY": KEY,
        "PREFECT_HOME": str(config.with_name("prefect")),
        "PREFECT_LOGGING_COLORS": "false",
    }
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "chatlake", "serve", "--config", str(config)],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C comes to this process alone, which passes it on
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=60)
        if process.poll() is None:
            process.kill()
            process.wait()


def until_a_run_ended(process: subprocess.Popen[str]) -> tuple[Prefect, str]:
    """Show what it says until a flow run has ended; return its server and the run's end."""
    prefect = password = ""
    for line in process.stdout or ():
        print(f"  {line}", end="", flush=True)
        if found := re.search(r"password in (\S+)$", line):
            password = Path(found[1]).read_text(encoding="ascii").strip()
        if found := re.search(r"^Prefect: (http\S+) ", line):
            prefect = found[1]
        if found := re.search(r"Flow run .* Finished in state (.*)", line):
            return Prefect(prefect, password), found[1]
    return Prefect(prefect, password), ""


def show_artifacts(prefect: Prefect) -> None:
    """Show what the run has left in Prefect."""
    for artifact in prefect.ask("artifacts/filter", {"sort": "CREATED_DESC"}):
        print(f"\nArtifact {artifact['key']} ({artifact['type']}): {artifact['description'] or ''}")
        if artifact["type"] == "markdown":
            print("\n".join(f"  {line}" for line in artifact["data"].splitlines()))


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
