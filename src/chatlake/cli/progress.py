"""The progress of a backup, on standard error: a bar on a terminal, else a line now and then.

The callbacks come from the backup's own thread, once for every completion, so they only note
figures.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from chatlake.backup.ports import Observer, SilentObserver
from chatlake.cli.output import note, printable
from chatlake.cli.stderr_lines import STANDARD_ERROR
from chatlake.cli.words import duration, shortened
from chatlake.model.counts import count
from chatlake.model.manifest import SourceRun

_LINE_EVERY_S = 10.0
_UPDATE_EVERY_S = 0.1
_RATE_OVER_S = 15.0


@contextmanager
def progress_shown(*, bar: bool) -> Iterator[Observer]:
    """Give an observer that shows progress inside the block; with `--quiet` it shows nothing."""
    if STANDARD_ERROR.is_quiet:
        yield SilentObserver()
        return
    if not bar or STANDARD_ERROR.as_json:
        yield PlainProgress()
        return
    console = Console(stderr=True, highlight=False)
    console.width -= len("^C") + 1  # the echo of Ctrl-C must not begin a new line
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24 if console.width > 100 else 12),
        _Figures(Column(no_wrap=True, overflow="ellipsis")),
        console=console,
        transient=True,
    )
    with progress:
        yield BarProgress(progress)


@dataclass(slots=True)
class Pulse:
    """The figures of one source while it is backed up. All times are monotonic seconds.

    `found`: completions so far; `listed`: those up to the last commit. `fraction`: how much of the
    list has been read, 0 to 1. `waits`: how many requests were sent again. `samples`: (time,
    `found`), for the rate.
    """

    mode: str
    started_at: float
    found: int = 0
    listed: int = 0
    fraction: float | None = None
    waits: int = 0
    waiting_until: float = 0.0
    why: str = ""
    ended_at: float | None = None
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def take(self, run: SourceRun, fraction: float | None, now: float) -> None:
        """Note the figures; each call between two commits means one more completion."""
        if run.listed != self.listed:
            self.listed = run.listed
            self.found = max(self.found, run.listed)
        elif run.status == "running":
            self.found += 1
        if run.status != "running":
            self.ended_at = now
        if fraction is not None:
            self.fraction = max(fraction, self.fraction or 0.0)
        if not self.samples or now - self.samples[-1][0] >= 0.5:
            self.samples.append((now, self.found))
            while now - self.samples[0][0] > _RATE_OVER_S:
                self.samples.popleft()

    def wait(self, seconds: float, why: str, now: float) -> None:
        """Note that a request waits."""
        self.waits += 1
        if now + seconds > self.waiting_until:
            self.waiting_until, self.why = now + seconds, why

    def elapsed_s(self, now: float) -> float:
        """Return the seconds since the start; they stop when the source is done."""
        return (now if self.ended_at is None else self.ended_at) - self.started_at

    def rate(self, now: float) -> float:
        """Return completions a second, over the last seconds."""
        since, before = self.samples[0] if self.samples else (self.started_at, 0)
        if now - since < 1.0:
            since, before = self.started_at, 0
        return (self.found - before) / max(0.001, now - since)

    def left_s(self, now: float) -> float | None:
        """Return the seconds left; None while that is unknown."""
        elapsed = self.elapsed_s(now)
        if self.fraction is None or self.fraction < 0.005 or elapsed < 2.0:
            return None
        return elapsed * (1.0 - self.fraction) / self.fraction


class _ProgressBase(SilentObserver):
    def __init__(self) -> None:
        self._pulses: dict[str, Pulse] = {}

    def source_started(self, source: str, mode: str) -> None:
        """Begin to count."""
        self._pulses[source] = Pulse(mode, time.monotonic())

    def progressed(self, source: str, run: SourceRun, fraction: float | None = None) -> None:
        """Note the figures."""
        now = time.monotonic()
        self._pulses[source].take(run, fraction, now)
        self._show(source, now)

    def waiting(self, source: str, seconds: float, why: str) -> None:
        """Note the wait."""
        now = time.monotonic()
        self._pulses[source].wait(seconds, why, now)
        self._show(source, now)

    def _show(self, source: str, now: float) -> None:
        raise NotImplementedError


class PlainProgress(_ProgressBase):
    """A line at most every ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._next_at = time.monotonic() + _LINE_EVERY_S

    def _show(self, source: str, now: float) -> None:
        if now < self._next_at:
            return
        self._next_at = now + _LINE_EVERY_S
        pulse = self._pulses[source]
        text = f"{source}: {count(pulse.found, 'completion')}, {pulse.rate(now):.1f}/s"
        left = pulse.left_s(now)
        if left is not None:
            text += f", about {duration(left)} left"
        if pulse.waiting_until > now:
            text += f", {_waiting(pulse, now)}"
        note(text)


class BarProgress(_ProgressBase):
    """A bar for each source."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._next_at = 0.0

    def source_started(self, source: str, mode: str) -> None:
        """Begin to count, and show a bar."""
        super().source_started(source, mode)
        pulse = self._pulses[source]
        self._tasks[source] = self._progress.add_task(source, total=None, pulse=pulse)

    def progressed(self, source: str, run: SourceRun, fraction: float | None = None) -> None:
        """Note the figures; a source that is done keeps its full bar."""
        super().progressed(source, run, fraction)
        if run.status != "running" and run.error is None:
            self._progress.update(self._tasks[source], total=1.0, completed=1.0)

    def _show(self, source: str, now: float) -> None:
        if now < self._next_at:
            return
        self._next_at = now + _UPDATE_EVERY_S
        fraction = self._pulses[source].fraction
        if fraction is not None:
            self._progress.update(self._tasks[source], total=1.0, completed=fraction)


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return the figures behind the bar."""
        pulse, now = task.fields["pulse"], time.monotonic()
        parts = [f"{count(pulse.found, 'completion')} in {duration(pulse.elapsed_s(now))}"]
        if pulse.fraction is not None:
            parts.insert(0, f"{1.0 if task.finished else pulse.fraction:4.0%}")
        if not task.finished:
            left = pulse.left_s(now)
            parts.append(f"{pulse.rate(now):.0f}/s")
            if left is not None:
                parts.append(f"{duration(left)} left")
        if pulse.waits:
            parts.append(f"{count(pulse.waits)} sent again")
        text = Text(" · ".join(parts))
        if pulse.waiting_until > now and not task.finished:
            text.append(f"\n{_waiting(pulse, now)}", style="yellow")
        return text


def _waiting(pulse: Pulse, now: float) -> str:
    seconds = math.ceil(pulse.waiting_until - now)
    if "429" in pulse.why:
        return f"rate limited, pausing {seconds} s"
    why = pulse.why.partition(": ")[2] or pulse.why  # without the route, which is long
    return f"retrying in {seconds} s: {shortened(printable(why), 50)}"
