"""Feeds damaged documents to every parser of what comes from outside, for a bounded time.

    python -m tests.fuzz --seconds 60 --seed 1
    python -m tests.fuzz --targets data_url headers

Pages, completions, messages, configurations, rules of redaction, durations, manifests, checkpoints,
error bodies, headers, data URLs and encoded bodies start from good documents and are damaged: bytes, or values of the JSON. Only the
documented errors may come out, in bounded time and memory. Anything else is printed with the
document, and the exit code is 1. Each target has an equal share of the time. The same seed tries the
same documents in the same order; how many depends on the machine.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.trying import Finding, Tally, attempt, documents_of

ENOUGH = 3
"""Findings of one target after which the next one follows."""


def main() -> int:
    """Try all targets and print what was found."""
    options = _options()
    chosen = [target for target in TARGETS if target.name in options.targets]
    findings = []
    for target in chosen:
        findings += _try(target, options.seconds / len(chosen), options.seed)
    for finding in findings:
        _show(finding)
    print("fuzz: " + (f"{len(findings)} findings" if findings else "nothing found"))
    return 1 if findings else 0


def _try(target: Target, seconds: float, seed: int) -> list[Finding]:
    end = time.monotonic() + seconds
    tally, found = Tally(), []
    for document in itertools.takewhile(
        lambda _: time.monotonic() < end and len(found) < ENOUGH,
        documents_of(target, Random(f"{seed} {target.name}")),
    ):
        finding = attempt(target, document, tally)
        if finding is not None:
            found.append(finding)
    print(
        f"{target.name:16} {tally.read:7} read {tally.refused:7} refused "
        f"{len(found):3} findings, slowest {tally.slowest_s:.2f} s",
        flush=True,
    )
    return found


def _show(finding: Finding) -> None:
    with tempfile.NamedTemporaryFile(
        prefix=f"chatlake-fuzz-{finding.target}-", delete=False
    ) as kept:
        kept.write(finding.document)
    print(f"\n{finding.target}: {len(finding.document)} bytes, kept in {Path(kept.name)}")
    print(repr(finding.document[:300]))
    traceback.print_exception(finding.error, limit=-6, file=sys.stdout)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [target.name for target in TARGETS]
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", nargs="+", choices=names, default=names)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
