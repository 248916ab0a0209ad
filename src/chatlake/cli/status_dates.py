"""When a source's completions were created, as far as the source's dates are plausible.

A source may send a `created` that is in the future or is not a time. One such row must not make a
lake look fresh forever. So rows in the future are counted separately and do not set the age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatlake.cli.words import moment
from chatlake.errors import LakeError
from chatlake.lake.lake import Lake
from chatlake.model.counts import count
from chatlake.model.manifest import PartFile, SourceRun, parse_time

SKEW = timedelta(minutes=5)
"""How far ahead of this machine's clock another one may be without a warning."""

ReadTimes = Callable[[PartFile], list[tuple[str, datetime]]]
"""Returns (completion id, creation) of a file's rows that have one. Raises LakeError."""


@dataclass(slots=True)
class Dates:
    """The oldest and the newest creation up to now, and how many rows are implausible.

    `future`: rows created later than now; `example`: the id of one, and `example_at` its time.
    `timeless`: rows without a usable time. `read` opens the files that reach into the future.
    """

    now: datetime
    read: ReadTimes | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    future: int = 0
    example: str = ""
    example_at: datetime | None = None
    timeless: int = 0

    def take(self, file: PartFile) -> None:
        """Add a file of the table `completions`.

        It is read, if possible, only if the manifest says that it reaches into the future.
        """
        if file.partition.is_timeless:
            self.timeless += file.rows
            return
        now, low, high = self.now, parse_time(file.min_created_at), parse_time(file.max_created_at)
        if high <= now + SKEW:
            self._span(low, min(high, now))
            return
        try:
            times = [] if self.read is None else self.read(file)
        except LakeError:  # `chatlake verify` reports it
            times = []
        if not times:
            self.future += file.rows if low > now + SKEW else 1
            times = [("", high)]
            if low <= now:
                self._span(low, low)
        for completion_id, created in times:
            if created <= now + SKEW:
                self._span(min(created, now), min(created, now))
                continue
            self.future += bool(completion_id)
            if self.example_at is None or created > self.example_at:
                self.example, self.example_at = completion_id, created

    def bound(self) -> None:
        """If only times in the future are known, use now instead: it is no less plausible."""
        if self.newest is None and self.future:
            self._span(self.now, self.now)

    def _span(self, low: datetime, high: datetime) -> None:
        self.oldest = low if self.oldest is None else min(low, self.oldest)
        self.newest = high if self.newest is None else max(high, self.newest)

    def warnings(self) -> list[str]:
        """Return a line for each kind of implausible time."""
        told = []
        if self.future and self.example_at is not None:
            has = "has" if self.future == 1 else "have"
            example = f"{self.example}, {moment(self.example_at)}".removeprefix(", ")
            told.append(
                f"{count(self.future, 'completion')} {has} a time in the future, e.g. {example}; "
                "ages ignore it"
            )
        if self.timeless:
            has = "has" if self.timeless == 1 else "have"
            told.append(
                f"{count(self.timeless, 'completion')} {has} no usable time: `created` is missing "
                "or is not UTC seconds"
            )
        return told


def future_run(runs: Iterable[SourceRun], now: datetime) -> list[str]:
    """Return a warning if the last run's time is in the future, else nothing.

    `runs`: newest first.
    """
    newest = next(iter(runs), None)
    if newest is None or parse_time(newest.started_at) <= now + SKEW:
        return []
    began = moment(parse_time(newest.started_at))
    reason = "the clock of its machine was ahead, or this one's was put back"
    return [f"the last run began in the future, {began}: {reason}; ages are shown as at least 0"]


def times_in(lake: Lake) -> ReadTimes:
    """Return a function that reads the times of a file of this lake."""

    def read(file: PartFile) -> list[tuple[str, datetime]]:
        from chatlake.lake.files.parts import read_columns  # noqa: PLC0415 - Arrow, seldom needed

        epoch = parse_time("1970-01-01T00:00:00Z")
        names = "completion_id", "created_at"
        return [
            (completion_id, epoch + timedelta(microseconds=micros))
            for completion_id, micros in zip(*read_columns(lake.storage, file, *names), strict=True)
            if micros is not None
        ]

    return read
