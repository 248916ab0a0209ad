"""`python -m chatlake.simulator`: the server as a separate process; prints its URL first."""

from __future__ import annotations

import argparse
import sys

from chatlake.errors import ChatlakeError
from chatlake.simulator.faults import Faults
from chatlake.simulator.options import add_options, options_from
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m chatlake.simulator",
        description="A simulator of the stored chat completions API, on loopback. "
        "The first line on standard output is its base URL.",
    )
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one [8080]")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when the starting process is gone"
    )
    add_options(parser.add_argument_group("what it holds and how it answers"), Scenario)
    add_options(parser.add_argument_group("faults"), Faults)
    values = parser.parse_args(arguments)
    try:
        serve(
            options_from(values, Scenario),
            options_from(values, Faults),
            values.port,
            announce=lambda url: print(url, flush=True),
            exit_with_parent=values.exit_with_parent,
        )
    except ChatlakeError as problem:
        print(f"{problem.message}\n{problem.hint}", file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
