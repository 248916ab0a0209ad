"""Compares the lake with its sources, using their secrets and their pace."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from chatlake.backup.ports import SilentObserver
from chatlake.bootstrap.runtime import Runtime
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.bootstrap.sources import jobs_for
from chatlake.config import Settings
from chatlake.lake.lake import Lake
from chatlake.verify.differences import Comparison
from chatlake.verify.source import Progress, compare


def compare_sources(
    settings: Settings,
    lake: Lake,
    *,
    names: Sequence[str] = (),
    sample: int,
    seed: int,
    progress: Progress,
) -> list[Comparison]:
    """Compare all sources of the configuration, or those named; see `verify.source.compare`.

    UsageError for an unknown name, ConfigurationError for a secret that is not set, AccountError
    and SourceUnreachableError for a source that cannot be listed.
    """
    jobs = [
        job if job.ids is not None else dataclasses.replace(job, mode="full")
        for job in jobs_for(settings, names=names, full=True)
    ]
    settings.check_secrets(load_prefect_secret, sources=[job.name for job in jobs])
    runtime = Runtime(settings, lake, SilentObserver())

    async def each() -> list[Comparison]:
        found = []
        for job in jobs:
            async with runtime.open_api(job) as api:
                found.append(
                    await compare(job, api, lake, sample=sample, seed=seed, progress=progress)
                )
        return found

    try:
        return runtime.loop.run(each())
    finally:
        runtime.close()
