"""What `chatlake serve` schedules: nightly backup, weekly full sweep, weekly maintenance.

The configuration has one schedule, that of the backup. The weekly ones are derived from it: on
Sunday, two and four hours after the first backup of the day, so that the lake is usually free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.server.schemas.schedules import CronSchedule
from prefect.types.entrypoint import EntrypointType

from chatlake.config import Settings
from chatlake.errors import ConfigurationError
from chatlake.flows.backup import backup
from chatlake.flows.maintain import maintain

SWEEP_HOURS_LATER = 2
MAINTAIN_HOURS_LATER = 4


@dataclass(frozen=True, slots=True)
class Served:
    """One deployment: what runs when. `cron` is in the configuration's time zone."""

    name: str
    flow: Flow[Any, Any]
    cron: str
    parameters: dict[str, Any]
    what: str

    async def next_run(self, timezone: str) -> datetime:
        """Return when it runs next, in that time zone."""
        now = datetime.now(ZoneInfo(timezone))
        (date,) = await CronSchedule(cron=self.cron, timezone=timezone).get_dates(1, start=now)
        return date.astimezone(ZoneInfo(timezone))


def deployments_of(settings: Settings, name: str = "") -> list[Served]:
    """Return the three deployments; `name` tells them from those of another configuration."""
    cron = settings.schedule.cron
    config = str(settings.path)
    after = f"-{name}" if name else ""
    return [
        Served(
            f"nightly-backup{after}",
            backup,
            cron,
            {"config": config},
            "Backs up what is new.",
        ),
        Served(
            f"weekly-full-sweep{after}",
            backup,
            weekly(cron, SWEEP_HOURS_LATER),
            {"config": config, "full": True},
            "Lists everything again, to find what changed long ago and what was deleted.",
        ),
        Served(
            f"weekly-maintain{after}",
            maintain,
            weekly(cron, MAINTAIN_HOURS_LATER),
            {"config": config},
            "Merges small files, re-reads a quarter of the lake, removes old files.",
        ),
    ]


def weekly(cron: str, hours_later: int) -> str:
    """Return a time on Sunday, this many hours after the earliest time of day in `cron`."""
    minute, hour = (_first(field) for field in cron.split()[:2])
    return f"{minute} {(hour + hours_later) % 24} * * 0"


def runner_deployment(served: Served, settings: Settings) -> RunnerDeployment:
    """Return what Prefect registers. ConfigurationError for a schedule that Prefect cannot read.

    It has no Prefect concurrency limit, which would count a killed run as running, and end a run
    whose server restarts. The lake's own lock keeps two runs apart. The flow is named by its
    module, so that the working folder does not matter.
    """
    try:
        deployment = served.flow.to_deployment(
            served.name,
            schedule=Cron(served.cron, timezone=settings.schedule.timezone),
            parameters=served.parameters,
            concurrency_limit=None,
            description=served.what,
            tags=["chatlake", *(source.name for source in settings.sources)],
            paused=False,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    except ValueError as error:
        raise ConfigurationError(
            f"{settings.path}: schedule.cron: Prefect cannot read {served.cron!r}",
            hint="Write five fields of numbers, such as '0 2 * * *'.",
        ) from error
    assert isinstance(deployment, RunnerDeployment)  # noqa: S101 - not on an event loop
    return deployment


def _first(field: str) -> int:
    """Return the smallest number that a field of a cron expression names."""
    numbers = [re.match(r"\d+", part) for part in field.split(",")]
    return min(0 if number is None else int(number[0]) for number in numbers)
