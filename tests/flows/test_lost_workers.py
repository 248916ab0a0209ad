"""What happens to a batch whose worker dies, for each kind of workers, and without any."""

from __future__ import annotations

import os
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pytest

from chatlake.backup.items import Flush, SourceJob
from chatlake.config import Runner
from chatlake.errors import AuthenticationError, ChatlakeError, LakeError
from chatlake.flows.batches.batch import Batch, BatchError, BatchItems, BatchResult, WorkerLostError
from chatlake.flows.batches.tasks import export, require_here
from chatlake.flows.batches.workers import ProcessWorkers, Workers, new_workers
from chatlake.lake import Lake
from tests.flows.test_batches import SETTINGS
from tests.lake_rows import completion, write

pytestmark = pytest.mark.slow

Kind = Literal["processes", "dask", "ray"]
_RAY = pytest.param(
    "ray",
    marks=pytest.mark.skipif(
        find_spec("ray") is None and not os.environ.get("CI"), reason="no Ray for this machine"
    ),
)
BATCH = Batch(SETTINGS, SourceJob("openai"), "run", 1, BatchItems([]), processes=2)


class FakeRunner:
    """A task runner whose futures end as told, one after the other."""

    def __init__(self, ends: list[BaseException | BatchResult]) -> None:
        self.ends = ends
        self.entered = 0

    def __enter__(self) -> FakeRunner:
        self.entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.entered -= 1

    def submit(self, *_: object) -> FakeRunner:
        """Return the future of a batch."""
        return self

    def result(self, timeout: float) -> BatchResult:
        """Return how it ended."""
        assert timeout > 0
        end = self.ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end


def died(kind: Kind) -> Exception:
    """Return what a future of each kind raises when its worker died."""
    if kind == "processes":
        return BrokenProcessPool("a child process terminated abruptly")
    if kind == "dask":
        from distributed.scheduler import KilledWorker

        return KilledWorker("export-1", mock.Mock(address="tcp://127.0.0.1:1"), 3)
    from ray.exceptions import WorkerCrashedError

    return WorkerCrashedError()


def workers_with(kind: Kind, *ends: BaseException | BatchResult) -> Workers:
    """Return workers whose batches end so."""
    workers = new_workers(Runner(kind=kind))
    runner: Any = FakeRunner(list(ends))
    workers.task_runner = runner
    workers._new = lambda: runner
    return workers


@pytest.mark.parametrize("kind", ["processes", "dask", _RAY])
def test_a_death_is_known_as_such(kind: Kind) -> None:
    """Whatever the library calls it, the batch is lost and not the run."""
    tries = ProcessWorkers.tries if kind == "processes" else 1

    with pytest.raises(WorkerLostError, match="the worker died: "):
        workers_with(kind, *[died(kind)] * tries).run(export, BATCH)


def test_a_batch_whose_pool_broke_is_tried_again() -> None:
    """A broken pool affects all batches in it, so each gets another try."""
    result = BatchResult()

    assert workers_with("processes", died("processes"), result).run(export, BATCH) is result


@pytest.mark.parametrize("kind", ["processes", "dask", _RAY])
def test_other_errors_are_no_deaths(kind: Kind) -> None:
    """The error that ended a batch is passed on unchanged, and a bug is reported as a crash."""
    ended = BatchError(AuthenticationError("the key is wrong"), BatchResult())
    with pytest.raises(BatchError) as raised:
        workers_with(kind, ended).run(export, BATCH)
    assert raised.value is ended

    with pytest.raises(ChatlakeError, match=r"batch 1 of openai crashed: KeyError\('a bug'\)"):
        workers_with(kind, KeyError("a bug")).run(export, BATCH)

    with pytest.raises(ChatlakeError, match="crashed: TimeoutError"):
        workers_with(kind, TimeoutError("of the task itself")).run(export, BATCH)


def test_a_cluster_that_is_gone_is_named() -> None:
    """A scheduler whose connection is lost: the address, and that the next run continues."""
    workers = workers_with("dask", CancelledError("scheduler-connection-lost"))
    workers.runner = Runner(kind="dask", address="tcp://scheduler:8786")

    with pytest.raises(ChatlakeError, match="tcp://scheduler:8786: scheduler-connection-lost"):
        workers.run(export, BATCH)


def test_files_in_another_lake_of_that_name_are_noticed(tmp_path: Path) -> None:
    """A worker's machine may have a folder of the same path that is not this one."""
    here = Lake.open(tmp_path / "here", create=True)
    there = Lake.open(tmp_path / "there", create=True)
    part = write(there.storage, "completions", [completion("chatcmpl-a")])
    result = BatchResult([Flush(parts=[part])])

    require_here(there.location, result)
    with pytest.raises(LakeError, match="on its own machine, and not to this one") as refused:
        require_here(here.location, result)

    assert part.path in refused.value.message
    assert "bucket" in refused.value.hint
