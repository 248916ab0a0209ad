"""Batches on a Ray cluster: that of `runner.address`, or one of this machine for the run alone."""

from __future__ import annotations

import logging
import shutil
import tempfile
from typing import Any, Final, Self

import ray
from prefect_ray import RayTaskRunner
from ray.exceptions import (
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from chatlake import __version__
from chatlake.bootstrap.runners import cluster_unreachable, require_cluster
from chatlake.config import Runner
from chatlake.errors import ChatlakeError
from chatlake.flows.batches.workers import PATIENCE_S, Workers, no_workers, require_version

logger = logging.getLogger("chatlake.flows")

_OBJECTS_BYTES: Final = 128 << 20  # batches and their results need far less


class RayWorkers(Workers):
    """Ray gives a batch whose worker dies to another worker, four times in all."""

    lost = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)

    def __init__(self, runner: Runner) -> None:
        self._folder: str | None = None
        super().__init__(runner, self._new_runner)
        self.processes = runner.workers
        if runner.address is not None:
            self.window = (
                runner.workers
            )  # the pace is divided among these, even in a larger cluster

    def _new_runner(self) -> RayTaskRunner[Any]:
        if self.runner.address is not None:
            return RayTaskRunner(
                address=self.runner.address, init_kwargs={"logging_level": logging.WARNING}
            )
        self._folder = tempfile.mkdtemp(prefix="chatlake-ray-")
        return RayTaskRunner(
            address="local",
            init_kwargs={
                "num_cpus": self.runner.workers,
                "include_dashboard": False,
                "object_store_memory": _OBJECTS_BYTES,
                "logging_level": logging.WARNING,
                "_temp_dir": self._folder,
            },
        )

    def __enter__(self) -> Self:
        require_cluster(self.runner)  # Ray would wait for minutes
        try:
            super().__enter__()
            self._greet()
        except (OSError, ValueError, RuntimeError, RayError) as error:
            self.__exit__(None, None, None)
            raise cluster_unreachable(self.runner, error) from error
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.threads.shutdown(wait=False)
        try:
            ray.shutdown()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _greet(self) -> None:
        """Check that the workers can run batches."""
        address = self.runner.address
        if address is None:
            return
        try:
            version = ray.get(ray.remote(_version).remote(), timeout=PATIENCE_S)
        except GetTimeoutError as error:
            raise no_workers(self.runner) from error
        except ModuleNotFoundError:
            version = None
        require_version(self.runner, version)

    def explained(self, error: Exception) -> ChatlakeError | None:
        """Return an error if the cluster is gone; None for any other error."""
        if isinstance(error, RayError | ConnectionError) and not isinstance(error, RayTaskError):
            return cluster_unreachable(self.runner, error)
        return None

    def look(self) -> None:
        """Raise ChatlakeError if the cluster no longer responds."""
        try:
            ray.cluster_resources()
        except (RayError, OSError, RuntimeError) as error:
            raise cluster_unreachable(self.runner, error) from error


def _version() -> str:
    return __version__
