"""A source that has had nothing new for long, where it used to have.

A backup of such a source is complete, and yet something may be wrong: a program no longer sends
`store=true`, a key was changed, a project was moved. How long is long? A duration that is set, or,
with `auto`, twice the longest pause in the 90 days before the source's newest completion, and 3
days at least. A source with completions on fewer than 7 of these days has no rhythm yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final

from chatlake.config import Settings, Source
from chatlake.config.source import SilentAfter
from chatlake.model.manifest import LakeState, PartFile, SourceRun, parse_time
from chatlake.model.tables import COMPLETIONS

LOOKED_AT: Final = timedelta(days=90)
SHORTEST: Final = timedelta(days=3)
FEWEST_DAYS: Final = 7
_REMINDER: Final = timedelta(days=7)
_LISTED: Final = ("complete", "incomplete")


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was created after `newest`, and by `until` that was longer than `limit`.

    `usual`: the longest pause before, where the limit comes from that.
    """

    source: str
    newest: datetime
    until: datetime
    limit: timedelta
    usual: timedelta | None = None

    @property
    def length(self) -> timedelta:
        """How long nothing was created."""
        return self.until - self.newest

    def __str__(self) -> str:
        """What happened, in words: `nothing new for 5 days, …`."""
        why = f"silent_after is {_days(self.limit)}"
        if self.usual is not None:
            why = f"before, the longest pause was {_days(self.usual)}"
        return (
            f"nothing new for {_days(self.length)}, since {self.newest:%Y-%m-%d %H:%M} UTC; {why}"
        )

    def is_news(self, last_until: datetime | None) -> bool:
        """Say whether to report it now: when it began, and every seven days from then.

        `last_until`: the time up to which the backup before had looked; None: there was none.
        """
        if last_until is None:
            return False
        before = last_until - self.newest - self.limit
        now = self.length - self.limit
        return before <= timedelta(0) or now // _REMINDER > before // _REMINDER


def new_silences(
    settings: Settings, state: LakeState, before: Iterable[SourceRun], now: Iterable[SourceRun]
) -> list[Silence]:
    """Return the silences to report after a run: those that began, and each again every seven days.

    `now`: what the run did, one entry for each source. `before`: the runs that came before it. Only
    a source whose list was read to its end counts.
    """
    earlier = [run for run in before if run.status in _LISTED and run.mode != "ids"]
    found = []
    for run in now:
        if run.status not in _LISTED or run.mode == "ids":
            continue
        silence = silence_in(state, settings.source(run.source), parse_time(run.started_at))
        last = max(
            (parse_time(other.started_at) for other in earlier if other.source == run.source),
            default=None,
        )
        if silence is not None and silence.is_news(last):
            found.append(silence)
    return found


def silence_in(state: LakeState, source: Source, until: datetime) -> Silence | None:
    """Return the silence of a configured source in a lake, None where there is none.

    A source of chosen ids, or one whose time has ended, has nothing new by design.
    """
    ends_at = source.select.created_before
    if source.select.has_ids or (ends_at is not None and ends_at <= until):
        return None
    return silence_of(source.name, state.files.values(), source.silent_after, until)


def silence_of(
    source: str, files: Iterable[PartFile], after: SilentAfter, until: datetime
) -> Silence | None:
    """Return the silence of a source, None where there is none.

    `files`: those of the lake. `until`: the time up to which a backup has looked at the source, so
    no silence grows while backups have stopped. Completions from the future, or without a time, do
    not count.
    """
    if after is None:
        return None
    own = [
        file
        for file in files
        if file.source == source and file.table == COMPLETIONS and not file.partition.is_timeless
    ]
    ends = [
        min(parse_time(file.max_created_at), until)
        for file in own
        if parse_time(file.min_created_at) <= until
    ]
    if not ends:
        return None
    newest, usual = max(ends), None
    if after == "auto":
        usual = _longest_pause({date.fromisoformat(file.created_date) for file in own}, newest)
        if usual is None:
            return None
        limit = max(SHORTEST, 2 * usual)
    else:
        limit = after
    if until - newest <= limit:
        return None
    return Silence(source, newest, until, limit, usual)


def _longest_pause(days: Iterable[date], newest: datetime) -> timedelta | None:
    """Return the longest pause between days with completions, None where there are too few."""
    last = newest.astimezone(UTC).date()
    near = sorted(day for day in days if last - LOOKED_AT <= day <= last)
    if len(near) < FEWEST_DAYS:
        return None
    return max(later - earlier for earlier, later in pairwise(near))


def _days(length: timedelta) -> str:
    hours = round(length.total_seconds() / 3600)
    number, unit = (hours, "hour") if hours < 48 else (round(hours / 24), "day")
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
