"""Batches on a Dask cluster: that of `runner.address`, or one of this machine for the run alone."""

from __future__ import annotations

import logging
import tempfile
import time
from concurrent.futures import CancelledError
from contextlib import ExitStack
from typing import Any, Self

from distributed import Client, KilledWorker
from distributed.comm import CommClosedError
from prefect_dask import DaskTaskRunner

from chatlake import __version__
from chatlake.bootstrap.runners import cluster_unreachable, require_cluster
from chatlake.config import Runner
from chatlake.errors import ChatlakeError
from chatlake.flows.batches.workers import PATIENCE_S, Workers, no_workers, require_version

logger = logging.getLogger("chatlake.flows")


class DaskWorkers(Workers):
    """Dask gives a batch whose worker dies to another worker, four times in all."""

    lost = (KilledWorker,)

    def __init__(self, runner: Runner) -> None:
        self._own = ExitStack()
        self._alone_since: float | None = None
        super().__init__(runner, self._new_runner)
        self.processes = runner.workers
        if runner.address is not None:
            self.window = (
                runner.workers
            )  # the pace is divided among these, even in a larger cluster

    def _new_runner(self) -> DaskTaskRunner:
        if self.runner.address is not None:
            return DaskTaskRunner(address=self.runner.address)
        return DaskTaskRunner(
            cluster_kwargs={
                "n_workers": self.runner.workers,
                "threads_per_worker": 1,
                "dashboard_address": None,
                "local_directory": self._own.enter_context(
                    tempfile.TemporaryDirectory(prefix="chatlake-dask-", ignore_cleanup_errors=True)
                ),
            }
        )

    def __enter__(self) -> Self:
        require_cluster(self.runner)
        # Only events that need attention belong in the log of a run.
        logging.getLogger("distributed").setLevel(logging.WARNING)
        if self.runner.address is None:
            logging.getLogger("prefect.task_runner.dask").setLevel(logging.WARNING)
        super().__enter__()
        try:
            self._greet()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            super().__exit__(*exception)
        finally:
            self._own.close()

    def _greet(self) -> None:
        """Connect, and check that the workers can run batches."""
        address = self.runner.address
        try:
            client = self._client
        except (OSError, ValueError) as error:
            raise cluster_unreachable(self.runner, error) from error
        if address is None:
            return
        if not client.nthreads():
            logger.warning("the Dask cluster at %s has no workers; waiting for one", address)
        try:
            version = client.submit(_version, pure=False).result(timeout=PATIENCE_S)
        except TimeoutError as error:
            raise no_workers(self.runner) from error
        except ModuleNotFoundError:
            version = None
        require_version(self.runner, version)

    def explained(self, error: Exception) -> ChatlakeError | None:
        """Return an error if the cluster is gone; None for any other error."""
        if isinstance(error, CancelledError | CommClosedError):
            return cluster_unreachable(self.runner, error)
        return None

    def look(self) -> None:
        """Raise ChatlakeError if there have been no workers for ten minutes.

        A local cluster never gets new ones, so there it raises at once.
        """
        if self._client.nthreads():
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
            logger.warning("the Dask cluster has lost all its workers; waiting for one")
        if now - self._alone_since > (PATIENCE_S if self.runner.address else 0):
            raise no_workers(self.runner)

    @property
    def _client(self) -> Client:
        runner: Any = self.task_runner
        client: Client = runner.client
        return client


def _version() -> str:
    return __version__
