"""How the processes of a run divide a source's pace, and what stays in a worker between runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatlake.backup.ports import SilentObserver
from chatlake.bootstrap import runtime as module
from chatlake.bootstrap.runtime import LISTING_SHARE, Runtime, export_batch
from chatlake.bootstrap.sources import jobs_for
from chatlake.config import Settings, load_settings
from chatlake.errors import LakeNotFoundError
from chatlake.lake.lake import Lake
from chatlake.simulator import Scenario, running
from tests.support import KEY, KEY_VARIABLE, NOW, write_config


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Configure a source of some completions, and no lake yet."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with running(Scenario(completions=20, seed=5, now=NOW, api_key=KEY)) as server:
        yield load_settings(write_config(tmp_path, server.base_url))


def shares(runtime: Runtime, batches: int) -> float:
    """Return the share of a runtime that has this many batches under way."""
    with ExitStack() as stack:
        for _ in range(batches):
            stack.enter_context(runtime.batch_under_way())
        return runtime._share()


@pytest.mark.parametrize("processes", [1, 2, 7])
def test_all_shares_are_the_whole_pace(settings: Settings, processes: int) -> None:
    """The run keeps a little for its lists, the workers divide the rest, in one process or many."""
    lake = Lake.open(settings.lake_location, create=True)
    own = Runtime(settings, lake, SilentObserver())
    worker = Runtime(settings, lake, SilentObserver(), processes=processes)

    assert shares(own, 0) == 1
    assert shares(own, 3) == LISTING_SHARE
    assert shares(own, 1) + processes * shares(worker, 1) == pytest.approx(1)
    assert shares(own, 1) + shares(worker, processes) == pytest.approx(1)
    assert shares(worker, processes + 5) == shares(worker, processes)
    own.close()
    worker.close()


def test_a_worker_without_the_lake_says_where_it_is(settings: Settings) -> None:
    """On a machine that does not see the lake's folder a batch names the machine and the remedy."""
    (job,) = jobs_for(settings, ids=["chatcmpl-a"])

    with pytest.raises(LakeNotFoundError, match="where a batch should run") as refused:
        export_batch(settings, job, "run", [], lambda _: None, processes=2)

    assert "bucket" in refused.value.hint


def test_a_worker_of_many_runs_keeps_a_few(settings: Settings) -> None:
    """Runtimes of runs that are over are closed: loop, connections and what they know of a lake."""
    Lake.open(settings.lake_location, create=True)
    (job,) = jobs_for(settings, ids=["chatcmpl-a"])

    for number in range(8):
        export_batch(settings, job, f"run-{number}", [], lambda _: None, processes=2)

    kept = dict(module._RUNTIMES)
    assert list(kept) == ["run-4", "run-5", "run-6", "run-7"]
    for run_id, runtime in kept.items():
        module.forget_runtime(run_id)
        runtime.close()
