"""Which stored completions came from one account, as far as the record of runs shows it.

A source's name can come to mean another account, when a user changes its key, project or address.
A list does not name its account, and each account answers 404 for the other's ids. But each run
lists again what the run before it stored, as far back as `lookback`. So a run of the same account
meets completions that the lake holds. A run that finds only unknown completions begins a new
*stretch* of runs. It may list another account, or everything that earlier runs stored has expired:
the stretch alone does not show which.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import timedelta
from itertools import accumulate

from chatlake.model.manifest import SourceRun, parse_time

_LISTING = ("incremental", "full")
_REACHED_THE_END = ("complete", "incomplete")
_MICROSECOND = timedelta(microseconds=1)


class Continuity:
    """What the runs of one source, in the order of their commits, say about their completions.

    Times are microseconds since 1970.
    """

    def __init__(self, runs: Iterable[SourceRun]) -> None:
        listing = [run for run in runs if run.mode in _LISTING]
        found = [run for run in listing if run.listed]
        breaks = accumulate((number > 0 and _is_break(run) for number, run in enumerate(found)))
        # By the clock, because that is all a completion records of its run; clocks may be put back.
        numbered = sorted(zip((_micros(run.started_at) for run in found), breaks, strict=True))
        self._starts = [start for start, _ in numbered]
        self._stretches = [stretch for _, stretch in numbered]
        whole = sorted(
            (_micros(run.finished_at), _micros(run.started_at))
            for run in listing
            if run.status in _REACHED_THE_END and run.finished_at is not None
        )
        self._ends = [end for end, _ in whole]
        self._latest_starts = list(accumulate((start for _, start in whole), max))

    def stretch(self, first_seen_at: int) -> int:
        """Return the number of the stretch in which a completion was first seen."""
        run = bisect_right(self._starts, first_seen_at) - 1
        return self._stretches[run] if run >= 0 else 0

    def was_overlooked(self, created_before: int, first_seen_at: int) -> bool:
        """Say whether a complete list was read after this creation and before this first sight.

        An account shows what it has, at most a few seconds late. So the account that was listed
        then did not have this completion.
        """
        earlier = bisect_right(self._ends, first_seen_at)
        return earlier > 0 and self._latest_starts[earlier - 1] > created_before


def _is_break(run: SourceRun) -> bool:
    return run.unchanged + run.changed == 0


def _micros(time: str) -> int:
    return (parse_time(time) - parse_time("1970-01-01T00:00:00Z")) // _MICROSECOND
