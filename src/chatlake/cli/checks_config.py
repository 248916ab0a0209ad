"""The checks of `chatlake doctor` on a valid configuration: missing, duplicate or risky settings.

They also check the address of `notify` and the cluster of `runner`; nothing is posted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from urllib.parse import urlsplit

from chatlake.bootstrap.notify import try_target
from chatlake.bootstrap.runners import (
    require_cluster,
    require_extra,
    require_lasting_server,
)
from chatlake.bootstrap.secrets import load_prefect_secret
from chatlake.cli.checks import Check, failed, passed, warning
from chatlake.cli.words import duration
from chatlake.config import Settings, Source
from chatlake.config.places import is_open_http
from chatlake.config.schedules import longest_pause
from chatlake.errors import ChatlakeError, ConfigurationError


def config_checks(settings: Settings) -> Iterator[Check]:
    """Yield settings that lose data or count it twice; they are warnings, not failures."""
    pause = longest_pause(settings.schedule.cron)
    for source in settings.sources:
        if is_open_http(source.base_url):
            yield warning(
                f"{source.name}: allow_http",
                "the key is sent over http://, where others can read it on the way to "
                f"{urlsplit(source.base_url).hostname}",
                "Use an https:// address, or a tunnel to it on this machine.",
            )
        yield from _durations(source, pause, settings.schedule.cron)
    for first, second in combinations(settings.sources, 2):
        if _is_one_account(first, second) and _overlap(first, second):
            yield warning(
                f"{second.name}: account",
                f"{first.name} and {second.name} have the same base_url and key: everything is "
                "backed up and counted twice",
                f"Remove one of them, or give each its own project in `headers` or its own "
                f"`select` ({settings.path}).",
            )


def _durations(source: Source, pause: timedelta | None, cron: str) -> Iterator[Check]:
    name, kept = source.name, _words(source.retention)
    if source.select.ids or source.select.ids_file is not None:
        return  # nothing is listed
    if source.full_sweep_every is None:
        yield warning(
            f"{name}: full_sweep_every",
            "full_sweep_every is null: changes older than the lookback, and deletions, are found "
            "only with --full",
            "Set full_sweep_every: 7d, or run `chatlake backup --full` now and then.",
        )
    if not source.lookback:
        yield warning(
            f"{name}: lookback",
            "lookback is 0s: a completion that becomes visible late, or changes, is missed until "
            "the next full sweep",
            "Set lookback: 24h.",
        )
    if source.retention < source.lookback:
        yield warning(
            f"{name}: retention",
            f"retention ({kept}) is below lookback ({_words(source.lookback)}): every run lists "
            "everything that the source keeps",
            "Correct one of the two.",
        )
    if pause is not None and source.retention < pause:
        yield warning(
            f"{name}: retention",
            f"retention ({kept}) is shorter than the schedule's interval ({_words(pause)}, "
            f"'{cron}'): completions expire between two backups",
            "Back up more often: change schedule.cron, or correct retention.",
        )


def _is_one_account(first: Source, second: Source) -> bool:
    """Whether both send the same requests; secrets are compared and not kept."""
    if _address(first) != _address(second):
        return False
    try:
        return _credentials(first) == _credentials(second)
    except ConfigurationError:  # the check of the key reports it
        return False


def _address(source: Source) -> tuple[str, str, str]:
    parts = urlsplit(source.base_url)
    return parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/")


def _credentials(source: Source) -> tuple[str, dict[str, str], dict[str, str]]:
    headers = source.resolved_headers(load_prefect_secret)
    return (
        source.api_key.resolve(load_prefect_secret),
        {name.lower(): value for name, value in headers.items()},
        source.resolved_query(load_prefect_secret),
    )


def _overlap(first: Source, second: Source) -> bool:
    """Say whether two sources select the same, or one of them selects everything."""
    everything = type(first.select)()
    return first.select == second.select or everything in (first.select, second.select)


def _words(length: timedelta) -> str:
    return duration(length.total_seconds())


def notify_checks(settings: Settings, *, test: bool) -> Iterator[Check]:
    """Check that the addresses of `notify` can be read; with `test`, that they take a message.

    Only a sent message shows that an address is right, because a wrong one may answer 400 or 404.
    """
    for number, target in enumerate(settings.notify):
        check = "notify" if len(settings.notify) == 1 else f"notify[{number}]"
        try:
            for _, address in target.addresses():
                address.resolve(load_prefect_secret)
        except ConfigurationError as error:
            yield failed(check, error)
            continue
        if not test:
            untried = "nothing was sent to it; doctor --notify-test sends a test message"
            yield passed(check, f"{target} is set; {untried}")
            continue
        what, delivery = try_target(target, settings.lake_location)
        if delivery.taken:
            yield passed(check, f"{target} took {what} ({delivery.answer})")
        else:
            detail = f"{target} did not take {what}: {delivery.answer}"
            yield failed(check, ChatlakeError(detail, hint=delivery.advice))


def runner_checks(settings: Settings) -> Iterator[Check]:
    """Check the library and the address of `runner`, and that Prefect's server is permanent."""
    runner = settings.runner
    if runner.kind not in {"dask", "ray"}:
        return
    try:
        require_extra(runner)
        require_cluster(runner)
        require_lasting_server(runner)
    except ChatlakeError as error:
        yield failed("runner", error)
    else:
        place = f"{runner.address} answers" if runner.address else "a cluster of this machine"
        yield passed("runner", f"{runner.kind}, {place}")
