"""The Prefect server to which workers in other processes report their tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from chatlake.bootstrap.runners import no_lasting_server
from chatlake.config import Runner


@contextlib.contextmanager
def server_for_workers(runner: Runner) -> Iterator[None]:
    """Let a cluster's workers find the run's Prefect server; inside a flow run.

    A server that was started for the run is known to its process alone, and each worker would start
    one of its own. ConfigurationError for a cluster at an address: its workers stay from one run to
    the next, and Prefect keeps the connections to the first server that they had.
    """
    if runner.kind not in {"dask", "ray"} or PREFECT_API_URL.value():
        yield
        return
    if runner.address is not None:
        raise no_lasting_server(runner)
    with get_client(sync_client=True) as client:
        url = str(client.api_url).rstrip("/")
    with temporary_settings({PREFECT_API_URL: url}):
        yield
