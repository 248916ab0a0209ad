"""A storm over one lake: growth, edits, deletions, faults, kills, damaged files; then a reckoning.

    python -m tests.soak --seconds 300 --seed 1
    python -m tests.soak --kinds malformed

Each round changes what two simulators hold, makes them misbehave, and backs them up with a process
that may be killed or stopped; now and then a data file is damaged, and `verify` has to say so. What
is chosen follows from the seed, only the timing does not. At the end the faults stop, and the lake
has to hold what the sources hold, value by value: nothing lost, nothing doubled. Exit code 1 if not.

Beside it a few nights pass over sources that are odd, each in a way of its own: see `nights`.
`--kinds` chooses some of these, or the storm alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from tests.soak.children import ProcessGroup
from tests.soak.figures import Figures
from tests.soak.nights import Nights
from tests.soak.odd_sources import KINDS, TimeCursors, UnknownCursors
from tests.soak.reckoning import reckon
from tests.soak.storm import Storm

GRACE_SECONDS = 600
"""Longer than the last round and the reckoning may take."""
STORM = "storm"
ALL_KINDS = (STORM, *KINDS)
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)


def main() -> int:
    """Run the storm, compare the lake with its sources, and report."""
    options = _options()
    began = time.monotonic()
    groups = ProcessGroup(), ProcessGroup()
    pool = ThreadPoolExecutor(max_workers=1)
    figures = Figures()
    keep = False
    folder: Path | None = None
    try:
        for number in ENDING:
            signal.signal(number, _stop)
        signal.alarm(round(options.seconds) + GRACE_SECONDS)
        folder = Path(tempfile.mkdtemp(prefix="chatlake-soak-"))
        tempfile.tempdir = str(folder)  # what a reader leaves there goes too
        kinds = [kind for kind in KINDS if kind in options.kinds]
        # The storm waits much of its time: the nights go beside it.
        nights = pool.submit(_nights, folder / "nights", groups[1], kinds, options.seed)
        if STORM in options.kinds:
            _storm(folder, groups[0], figures, options)
        figures.add(nights.result())
        keep = options.keep and bool(figures.problems)
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        for group in groups:
            group.stop()
        pool.shutdown()
        if folder is not None and not keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{figures}, {time.monotonic() - began:.0f} s, seed {options.seed}")
    for problem in figures.problems:
        print(f"WRONG: {problem}")
    if keep:
        print(f"kept: {folder}")
    return 1 if figures.problems else 0


def _storm(
    folder: Path, group: ProcessGroup, figures: Figures, options: argparse.Namespace
) -> None:
    # The kinds that concern a whole list get a third source in the storm itself.
    odd = {each.answer for each in (TimeCursors, UnknownCursors) if each.kind in options.kinds}
    storm = Storm(
        folder, group, figures, completions=options.completions, seed=options.seed, odd=odd
    )
    try:
        storm.start()
        storm.blow(options.seconds)
        if not figures.problems:
            reckon(storm)
        if not figures.problems:
            # Whether a run of the storm continues from a deleted row is chance. The nights of
            # `unknown` always do, and fail if they do not.
            figures.check_something_happened(odd=sorted(odd - {"unknown_after"}))
    finally:
        for source in storm.sources:
            source.close()


def _nights(folder: Path, group: ProcessGroup, kinds: list[str], seed: int) -> Figures:
    figures = Figures()
    if not kinds:
        return figures
    nights = Nights(folder, group, figures, kinds=kinds, seed=seed)
    try:
        nights.start()
        nights.pass_by()
        if not figures.problems:
            reckon(nights)
        if not figures.problems:
            figures.check_nights(kinds)
    finally:
        for source in nights.sources:
            source.close()
    return figures


def _kinds(text: str) -> list[str]:
    kinds = text.split(",")
    for kind in kinds:
        if kind not in ALL_KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is not one of {', '.join(ALL_KINDS)}")
    return kinds


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
        "--kinds",
        type=_kinds,
        default=list(ALL_KINDS),
        help=f"some of {','.join(ALL_KINDS)}, with commas [all]",
    )
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
