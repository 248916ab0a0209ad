"""Which sources a backup has found silent, and whether that is news."""

from __future__ import annotations

from collections.abc import Iterable

from chatlake.backup.report import BackupReport
from chatlake.backup.silence import Silence, silence_in
from chatlake.config import Settings
from chatlake.model.manifest import LakeState, SourceRun, parse_time

_LISTED = ("complete", "incomplete")


def new_silences(
    settings: Settings, state: LakeState, before: Iterable[SourceRun], report: BackupReport
) -> list[Silence]:
    """Return the silences to tell after a run: those that began, and each again every seven days.

    `before`: the runs that came before it. Only a source whose list was read to its end counts.
    """
    earlier = [run for run in before if run.status in _LISTED and run.mode != "ids"]
    found = []
    for each in report.sources:
        run = each.run
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
