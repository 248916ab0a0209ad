"""A storm over one lake: growth, edits, deletions, faults, kills, damaged files; then a reckoning.

    python -m tests.soak --seconds 300 --seed 1

Each round changes what two simulators hold, makes them misbehave, and backs them up with a process
that may be killed or stopped; now and then a data file is damaged, and `verify` has to say so. What
is chosen follows from the seed, only the timing does not. At the end the faults stop, and the lake
has to hold what the sources hold, value by value: nothing lost, nothing doubled. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.soak.children import ProcessGroup
from tests.soak.reckoning import reckon
from tests.soak.storm import Storm

GRACE_SECONDS = 600
"""Longer than the last round and the reckoning may take."""
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)


def main() -> int:
    """Storm, reckon, tell."""
    options = _options()
    began = time.monotonic()
    group = ProcessGroup()
    keep = False
    folder: Path | None = None
    try:
        for number in ENDING:
            signal.signal(number, _stop)
        signal.alarm(round(options.seconds) + GRACE_SECONDS)
        folder = Path(tempfile.mkdtemp(prefix="chatlake-soak-"))
        tempfile.tempdir = str(folder)  # what a reader leaves there goes too
        storm = Storm(folder, group, completions=options.completions, seed=options.seed)
        storm.start()
        storm.blow(options.seconds)
        if not storm.figures.problems:
            reckon(storm)
        if not storm.figures.problems:
            storm.figures.check_something_happened()
        for source in storm.sources:
            source.close()
        keep = options.keep and bool(storm.figures.problems)
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        group.stop()
        if folder is not None and not keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{storm.figures}, {time.monotonic() - began:.0f} s, seed {options.seed}")
    for problem in storm.figures.problems:
        print(f"WRONG: {problem}")
    if keep:
        print(f"kept: {folder}")
    return 1 if storm.figures.problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=300,
        help="how long the storm lasts, the reckoning comes then [300]",
    )
    parser.add_argument("--seed", type=int, default=1, help="what is chosen follows from it [1]")
    parser.add_argument("--completions", type=int, default=3000, help="at the start [3000]")
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder when something is wrong"
    )
    return parser.parse_args()


def _stop(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGALRM:
        os.write(2, b"WRONG: the storm did not come to its end in time\n")
    raise SystemExit(128 + number)


if __name__ == "__main__":
    raise SystemExit(main())
