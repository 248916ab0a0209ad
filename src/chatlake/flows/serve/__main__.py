"""`chatlake serve`, behind its arguments: `python -m chatlake.flows.serve CONFIG [--port N] …`.

It is a separate process: Prefect takes seconds to import, so errors are reported before that.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from chatlake import signals


def main() -> int:
    """Serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="chatlake serve")
    parser.add_argument("config", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--name", default="")
    values = parser.parse_args()
    from chatlake.flows.session import in_own_session  # noqa: PLC0415 - signals are handled first

    return in_own_session(lambda: _serve(values.config, values.port, values.name))


def _serve(config: Path, port: int | None, name: str) -> int:
    # Prefect is not imported yet, and there is nothing to clean up.
    signals.end_at_once(even_ignored=True)
    from chatlake.bootstrap.loop import LoopThread  # noqa: PLC0415
    from chatlake.config import load_settings  # noqa: PLC0415
    from chatlake.errors import ChatlakeError  # noqa: PLC0415
    from chatlake.flows.configuration import SERVED  # noqa: PLC0415
    from chatlake.flows.defaults import hear_engine  # noqa: PLC0415
    from chatlake.flows.serve.deployments import deployments_of, runner_deployment  # noqa: PLC0415
    from chatlake.flows.serve.serving import serve  # noqa: PLC0415

    try:
        settings = load_settings(config)
        os.environ[SERVED] = str(settings.path)
        served = deployments_of(settings, name)
        deployments = [runner_deployment(each, settings) for each in served]
        hear_engine()
        # Not in the main thread, whose signals Prefect's runner would take.
        with signals.raising_stops():
            LoopThread().run(serve(settings, served, deployments, port))
    except ChatlakeError as error:
        for line in (
            f"error: {error.message}",
            *(f"hint: {hint}" for hint in [error.hint] if hint),
        ):
            print(line, file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    signals.end_at_once(even_ignored=True)
    raise SystemExit(main())
