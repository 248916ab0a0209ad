"""The check of `chatlake doctor` that looks at the cluster of `runner`, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

from chatlake.bootstrap.runners import (
    require_cluster,
    require_extra,
    require_lasting_server,
)
from chatlake.cli.checks import Check, failed, passed
from chatlake.config import Settings
from chatlake.errors import ChatlakeError


def runner_checks(settings: Settings) -> Iterator[Check]:
    """Check its library, its address, and that Prefect's server is permanent."""
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
