"""Measure chatlake against its alternatives, and print one table.

Every figure is a ratio within one run, of programs that ran on this machine one after the other:
absolute times are noise. What a contestant wrote is compared with what the server has before its
figures count. Groups can be measured alone: see docs/performance.md for what each is.
"""

from __future__ import annotations

import argparse
import compileall
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

from bench.measured import ROOT, BenchError
from bench.report import show, write
from bench.results import Row
from bench.rows import BY_DEFAULT, GROUPS, pace, views
from bench.stage import FULL, QUICK, Sizes, Stage


def main() -> int:
    """Run the groups that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=GROUPS,
        metavar="GROUP",
        default=BY_DEFAULT,
        help=f"only these of {', '.join(GROUPS)}",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    parser.add_argument("--write", action="store_true", help="write docs/performance.* anew")
    given = parser.parse_args()
    if given.write and given.quick:
        parser.error("figures of --quick are none to write down")
    # As pip does for the others: without it, each start here compiles all modules again wherever
    # PYTHONDONTWRITEBYTECODE is set.
    compileall.compile_dir(ROOT / "src", quiet=1)
    rows, void = measure(given.only, QUICK if given.quick else FULL)
    show(rows)
    if given.write:
        write(rows, list(GROUPS))
    return int(void or (given.check and any(row.met is False for row in rows)))


def measure(groups: Sequence[str], sizes: Sizes) -> tuple[list[Row], bool]:
    """Return the rows of these groups, and whether one of the groups is void.

    The runs below a rate limit wait for most of a minute. The run at a latency, which waits
    too, and then the writing of the lake for the views go beside them.
    """
    rows: dict[str, list[Row] | None] = {}
    with ExitStack() as until_the_end:
        folder = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="chatlake-bench-"))
        stage = Stage(Path(folder), sizes, until_the_end)
        beside: Future[list[Row] | None] | None = None
        for group in groups:
            if group == pace.LATENCY and pace.RATE in groups:
                continue
            if group == pace.RATE and pace.LATENCY in groups:
                beside = stage.beside.submit(_rows, pace.LATENCY, stage)
            if group == pace.RATE and views.GROUP in groups:
                stage.begin_year()
            rows[group] = _rows(group, stage)
            if group == pace.RATE and beside is not None:
                rows[pace.LATENCY] = beside.result()
    found = [row for group in groups for row in rows[group] or ()]
    return found, None in rows.values()


def _rows(group: str, stage: Stage) -> list[Row] | None:
    """Return the rows of a group; if they are void, say why and return None."""
    began = time.monotonic()
    try:
        return list(GROUPS[group](stage))
    except BenchError as error:
        print(f"{group} is void: {error}", file=sys.stderr, flush=True)
        return None
    finally:
        print(f"{group}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
