"""From the configuration's sources to jobs and API clients."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from chatlake.api.client import ApiClient
from chatlake.backup.items import SourceJob
from chatlake.backup.ports import Observer
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.config import Settings, Source, parse_ids, read_ids
from chatlake.errors import UsageError
from chatlake.model.outside_text import note_secret
from chatlake.model.redaction.rules import Redaction

DAY_S: Final = 86_400


def jobs_for(
    settings: Settings,
    *,
    names: Sequence[str] = (),
    ids: Sequence[str] | None = None,
    full: bool = False,
) -> list[SourceJob]:
    """Return what to back up: of all sources, or of those named; `ids`: just these completions.

    UsageError for a name that the configuration does not have.
    """
    sources = [settings.source(name) for name in dict.fromkeys(names)] or list(settings.sources)
    return [job_for(source, ids=ids, full=full, keep=settings.keep) for source in sources]


def keep_after(keep: timedelta) -> int:
    """Return the oldest creation time (UTC seconds, a midnight) that a lake then keeps."""
    return int(time.time() - keep.total_seconds()) // DAY_S * DAY_S


def job_for(
    source: Source,
    *,
    ids: Sequence[str] | None = None,
    full: bool = False,
    keep: timedelta | None = None,
) -> SourceJob:
    """Return what to back up from one source."""
    select = source.select
    chosen = select.chosen_ids() if ids is None else None
    given = tuple(ids) if ids is not None else None if chosen is None else tuple(chosen.ids)
    return SourceJob(
        name=source.name,
        mode="ids" if given is not None else "full" if full else "incremental",
        ids=given,
        model=select.model,
        metadata=dict(select.metadata),
        created_after=_seconds(select.created_after),
        created_before=_seconds(select.created_before),
        lookback=int(source.lookback.total_seconds()),
        full_sweep_every=None
        if source.full_sweep_every is None
        else int(source.full_sweep_every.total_seconds()),
        retention=int(source.retention.total_seconds()),
        selection=select.fingerprint(),
        keep_images=source.images == "store",
        concurrency=source.pace.concurrency,
        max_body=source.pace.max_body,
        keep_after=None if keep is None else keep_after(keep),
    )


def new_client(
    source: Source, observer: Observer, *, redaction: Redaction | None = None
) -> ApiClient:
    """Return a client for a source; only here are its secrets resolved.

    `redaction`: see `redaction_of`; None if nothing of the source is stored. ConfigurationError for
    a secret or an address that cannot be used.
    """
    pace = source.pace
    for text in source.resolved_texts():
        note_secret(text)
    return ApiClient(
        base_url=source.base_url,
        key=source.api_key.resolve(load_prefect_secret),
        auth=source.auth,
        headers=source.resolved_headers(load_prefect_secret),
        query=source.resolved_query(load_prefect_secret),
        concurrency=pace.concurrency,
        requests_per_minute=pace.requests_per_minute,
        max_body=pace.max_body,
        proxy=source.proxy,
        ca_file=None if source.tls.ca_file is None else str(source.tls.ca_file),
        redaction=redaction,
        timeout_s=pace.timeout.total_seconds(),
        max_attempts=pace.max_attempts,
        give_up_after_s=pace.give_up_after.total_seconds(),
        on_wait=lambda seconds, why: observer.waiting(source.name, seconds, why),
    )


def redaction_of(settings: Settings, source: Source) -> Redaction | None:
    """Return the rules for what of a source never reaches the lake; None if there are none.

    ConfigurationError if the key of the hashes cannot be read.
    """
    return settings.redact_of(source).ready(load_prefect_secret)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


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
    return job_for(_source(settings, source), ids=ids, keep=settings.keep)


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
