"""One run, and what happens to it: a signal, a pause, an outage, another run, changes, readers."""

from __future__ import annotations

import functools
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from tests.soak.children import Children, Ended
from tests.soak.figures import Figures
from tests.soak.rounds import Round
from tests.soak.source import Source
from tests.soak.watch import Watch

STOP_SECONDS = 60.0
"""Longer than a run may take to end after SIGINT or SIGTERM, or to be turned away."""


class DisturbedRun:
    """A backup, started when this is made, and another one where the round has two at once."""

    def __init__(
        self,
        plan: Round,
        children: Children,
        sources: Sequence[Source],
        watch: Watch,
        figures: Figures,
    ) -> None:
        self._plan = plan
        self._children = children
        self._sources = sources
        self._watch = watch
        self._figures = figures
        words = ["backup", "--full"] if plan.full else ["backup"]
        self._began = time.monotonic()
        self._first = children.start(
            *words, failpoint=plan.disturbance.failpoint, timezone=plan.timezone
        )
        self._others: list[subprocess.Popen[bytes]] = []

    def to_its_end(self) -> list[Ended]:
        """Let everything happen; returns how the run ended, and the other one if there was one."""
        for at, happens in sorted(self._events(), key=lambda event: event[0]):
            # When the run has ended before, it happens at once: the next round counts on it.
            with_timeout(self._first, self._began + at - time.monotonic())
            happens()
        return [self._children.wait(child) for child in (self._first, *self._others)]

    def _events(self) -> Iterator[tuple[float, Callable[[], object]]]:
        plan = self._plan
        if plan.disturbance.number:
            yield plan.disturbance.after, self._signal
        if plan.outage_s is not None:
            yield 0.0, self._outage
        if plan.pause_s is not None:
            yield 0.0, self._pause
        elif plan.second_after is not None:
            yield plan.second_after, self._start_second
        if plan.look_after is not None and self._watch.damage is None:
            yield plan.look_after, self._watch.look_meanwhile
        for source in self._sources:
            changes = plan.changes[source.name].meanwhile
            if changes:
                yield plan.meanwhile_after, functools.partial(source.apply, changes)

    def _start_second(self) -> subprocess.Popen[bytes]:
        second = self._children.start("backup")
        self._others.append(second)
        return second

    def _pause(self) -> None:
        """Stop a run that has the lock for a while; one that is started meanwhile gets none."""
        plan, first = self._plan, self._first
        if not self._children.wait_until_writing(first):
            return
        first.send_signal(signal.SIGSTOP)
        time.sleep(0.1)  # the signal is sent, not yet obeyed
        try:
            if not self._children.is_writing(first):
                return  # it was quicker
            if plan.second_after is not None:
                second = self._start_second()
                if not with_timeout(second, STOP_SECONDS) or second.returncode != 8:
                    self._figures.problems.append(
                        f"round {plan.number}: another run had the lock, and this one ended with "
                        f"{second.returncode}, not with 8"
                    )
            time.sleep(plan.pause_s or 0.0)
        finally:
            first.send_signal(signal.SIGCONT)
        self._figures.paused += 1

    def _outage(self) -> None:
        """Let the first source refuse everything for a while, from when the run has the lock on."""
        if self._children.wait_until_writing(self._first):
            source = self._sources[0]
            outage = {"outage_after": 0.0, "outage_seconds": self._plan.outage_s}
            faults = {**self._plan.faults[source.name], **outage}
            self._figures.faults += source.set_faults(faults)

    def _signal(self) -> None:
        disturbance = self._plan.disturbance
        if self._first.poll() is not None:
            return
        self._first.send_signal(disturbance.number)
        if not with_timeout(self._first, STOP_SECONDS):
            self._figures.problems.append(
                f"a backup went on for {STOP_SECONDS:.0f} s after {disturbance}"
            )


def with_timeout(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a child so long; returns whether it has ended."""
    try:
        child.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return False
    return True
