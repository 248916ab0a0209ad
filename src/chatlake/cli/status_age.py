"""`chatlake status --max-age`: whether every source's last complete backup is young enough.

Monitors ask this: Nagios, cron, a probe of Kubernetes. Only a complete backup of a whole source
counts. A run that was incomplete, or fetched chosen ids, does not make a source fresh. Neither does
a run from the future: the clock of its machine was wrong, so nobody knows how old it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from chatlake.cli.status_dates import SKEW
from chatlake.cli.status_facts import SourceFacts, StatusFacts
from chatlake.cli.words import duration, moment
from chatlake.config import parse_duration
from chatlake.errors import StaleError, UsageError
from chatlake.model.manifest import parse_time


@dataclass(frozen=True, slots=True)
class MaxAge:
    """The option's value: as it was written, and as a duration."""

    written: str
    length: timedelta

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the option's value. UsageError unless it is a duration of more than 0s."""
        hint = "--max-age 26h"
        try:
            length = parse_duration(text)
        except ValueError as problem:
            raise UsageError(f"--max-age {text}: {problem}", hint=hint) from None
        if not length:
            raise UsageError(f"--max-age {text}: expected more than 0s", hint=hint)
        return cls(text, length)


def stale_sources(facts: StatusFacts, max_age: MaxAge) -> StaleError | None:
    """Return an error that names each configured source without a backup that is young enough.

    None if there is no such source.
    """
    told = [
        f"{source.name}: {why}"
        for source in facts.sources
        if source.configured and (why := _why_stale(source, facts.now, max_age))
    ]
    return StaleError("; ".join(told)) if told else None


def never_backed_up(location: str, max_age: MaxAge) -> StaleError:
    """Return the error for a place where no lake is yet."""
    return StaleError(
        f"no backup within {max_age.written}: there is no lake at {location} yet",
        hint="Run `chatlake backup` first, or check `lake` in the configuration.",
    )


def _why_stale(source: SourceFacts, now: datetime, max_age: MaxAge) -> str:
    ends = [parse_time(run.finished_at or run.started_at) for run in source.complete_runs]
    if not ends:
        return "there is no complete backup yet"
    known = [end for end in ends if end <= now + SKEW]
    if not known:
        return f"the last complete backup is dated in the future, {moment(ends[0])}"
    newest = max(known)
    age = now - newest
    if age <= max_age.length:
        return ""
    return (
        f"the last complete backup is {duration(age.total_seconds())} old ({moment(newest)}), "
        f"older than {max_age.written}"
    )
