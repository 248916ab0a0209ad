"""A Dask or Ray cluster of this machine, in a process of its own: `python -m tests.flows.clusters`.

Prints its address, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from chatlake import failpoints

WORKERS = 2


@contextlib.contextmanager
def cluster(kind: str, folder: Path, failpoint: str) -> Iterator[str]:
    """Run a cluster with two workers, armed with a fail-point where one is given; its address."""
    program = [sys.executable, "-m", "tests.flows.clusters", kind, str(folder)]
    log = (folder / "cluster.log").open("w")
    with (
        log,
        subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, **({failpoints.VARIABLE: failpoint} if failpoint else {})},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, (folder / "cluster.log").read_text()
        yield address
        process.stdin.close()
        process.wait(30)


def _dask(folder: str) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=WORKERS, dashboard_address=None, local_directory=folder
    ) as running:
        print(running.scheduler_address, flush=True)
        sys.stdin.read()


def _ray(folder: str) -> None:
    import ray

    context = ray.init(
        address="local",
        num_cpus=WORKERS,
        include_dashboard=False,
        object_store_memory=100 << 20,
        _temp_dir=folder,
        log_to_driver=False,
    )
    print(context.address_info["gcs_address"], flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    {"dask": _dask, "ray": _ray}[sys.argv[1]](sys.argv[2])
