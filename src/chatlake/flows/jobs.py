"""The parameters of `export_completions`, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chatlake.backup.items import SourceJob
from chatlake.bootstrap.sources import job_for
from chatlake.config import Settings, Source, parse_ids, read_ids
from chatlake.errors import UsageError


def job_for_ids(
    settings: Settings,
    completion_ids: Sequence[str] | None,
    ids_file: str | None,
    source: str | None,
) -> SourceJob:
    """Return the job for the ids, without duplicates.

    Raises UsageError if the request is not clear.
    """
    if (completion_ids is None) == (ids_file is None):
        raise UsageError(
            "expected either completion_ids or ids_file",
            hint="Give the ids as a list, or in a text file with one id a line.",
        )
    if ids_file is not None:
        ids = read_ids(Path(ids_file).expanduser()).ids
    else:
        ids = parse_ids(completion_ids or (), name="completion_ids").ids
    if not ids:
        raise UsageError(f"{ids_file or 'completion_ids'}: it contains no completion id", hint="")
    return job_for(_source(settings, source), ids=ids)


def _source(settings: Settings, name: str | None) -> Source:
    if name is not None:
        return settings.source(name)
    if len(settings.sources) == 1:
        return settings.sources[0]
    names = ", ".join(source.name for source in settings.sources)
    raise UsageError(
        "the configuration has several sources, and the ids can belong to only one",
        hint=f"Set `source`: {names}.",
    )
