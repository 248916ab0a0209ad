"""`python -m bench`: measure, print one table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.measured import BenchError
from bench.report import show
from bench.results import Row
from bench.rows import GROUPS
from bench.stage import FULL, QUICK, Stage


def main() -> int:
    """Run the groups that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", default=list(GROUPS),
                        help=f"only these: {', '.join(GROUPS)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    given = parser.parse_args()
    rows: list[Row] = []
    failed = False
    with ExitStack() as until_the_end:
        folder = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="chatlake-bench-"))
        stage = Stage(Path(folder), QUICK if given.quick else FULL, until_the_end)
        for group in given.only:
            began = time.monotonic()
            try:
                rows += GROUPS[group](stage)
            except BenchError as error:
                failed = True
                print(f"{group}: void: {error}", file=sys.stderr)
            print(f"{group}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    show(rows)
    return int(failed or (given.check and any(row.met is False for row in rows)))


if __name__ == "__main__":
    raise SystemExit(main())
