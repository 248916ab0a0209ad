"""The flows' workers: processes, Dask and Ray, each a real cluster of this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import dask
import msgspec
import pytest

from chatlake import failpoints
from chatlake.bootstrap.runners import require_extra
from chatlake.config import Runner, load_settings
from chatlake.errors import ConfigurationError
from chatlake.flows.backup import backup
from chatlake.flows.batches.workers import ProcessWorkers, require_version
from chatlake.flows.export_completions import export_completions
from chatlake.simulator import Running
from tests.flows.clusters import cluster
from tests.flows.prefect_server import COUNT, Prefect, processes_with
from tests.flows.test_flows import error_of, run, run_id, stored_ids
from tests.hook import hook
from tests.support import NOW, rows
from tests.support import backup as back_up_here

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

_RAY = pytest.param(
    "ray",
    marks=pytest.mark.skipif(
        find_spec("ray") is None and not os.environ.get("CI"), reason="no Ray for this machine"
    ),
)
CLUSTERS = ["dask", _RAY]
PER_MINUTE = 1500
KILL = "batch.written:kill:2"


def with_runner(config: Path, **runner: object) -> None:
    """Configure a runner."""
    document = msgspec.yaml.decode(config.read_bytes())
    config.write_bytes(msgspec.yaml.encode({**document, "runner": runner}))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Give a folder with a short path: Ray has sockets there."""
    folder = tempfile.mkdtemp(prefix="cl-")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("where", "failpoint"), [("dask", ""), pytest.param("ray", KILL, marks=_RAY.marks)]
)
def test_a_cluster_by_its_address(
    where: str, failpoint: str, server: Running, config: Path, short_folder: Path
) -> None:
    """Batches on a running cluster give the same lake, share one pace, and count their requests.

    In one of them each worker is killed under its second batch, and all is the same.
    """
    document = msgspec.yaml.decode(config.read_bytes())
    document["sources"][0]["pace"] = {"requests_per_minute": PER_MINUTE}
    config.write_bytes(msgspec.yaml.encode(document))

    with cluster(where, short_folder, failpoint) as address:
        with_runner(config, kind=where, address=address, workers=2)
        state = run(backup, str(config))

    assert state.is_completed(), state.message
    assert stored_ids(config) == sorted(server.ids())
    stats = server.stats()
    ((requests,),) = rows(load_settings(config), "SELECT requests FROM runs")
    assert (requests < stats["total"]) if failpoint else (requests == stats["total"])
    # Each process may have saved up one request, so a second may hold that many more.
    assert stats["max_per_second"] <= PER_MINUTE / 60 + 3
    assert len(stats["per_second"]) >= stats["total"] / (PER_MINUTE / 60)
    assert processes_with(str(short_folder)) == []


@pytest.mark.parametrize("where", ["processes", "dask"])
def test_workers_that_die_redact_and_leave_out_what_is_too_old(
    where: str, server: Running, config: Path, tmp_path: Path, prefect_server: Prefect
) -> None:
    """Rules, the key of hashes and `keep` reach them: the same rows and counts as in one process.

    Each worker is killed under its second batch: others take it over, and nothing is missing.
    """
    day = 86_400
    kept = f"{int(time.time()) // day - NOW // day + 1}d"  # from the day before the newest on
    document = msgspec.yaml.decode(config.read_bytes())
    document["sources"][0]["redact"] = {
        "hash": ["metadata.team"],
        "hash_key": "${HASH_KEY}",
        "drop": ["metadata.customer"],
        "expressions": {"order": "[A-Z]{1,3}-[0-9]{3,6}"},
        "images": "drop",
    }
    document["sources"][0]["retention"] = "9999d"
    here = tmp_path / "here"
    here.mkdir()
    for path in (config, here / "chatlake.yaml"):
        path.write_bytes(msgspec.yaml.encode({**document, "keep": kept}))
    with mock.patch.dict(os.environ, {"HASH_KEY": "k" * 16}):
        back_up_here(load_settings(here / "chatlake.yaml"))
        server.reset_stats()
        with_runner(config, kind=where, workers=2, batch_size=25)
        with mock.patch.dict(os.environ, {failpoints.VARIABLE: KILL}):
            state = run(backup, str(config))

    there, alone = load_settings(config), load_settings(here / "chatlake.yaml")
    assert 0 < len(stored_ids(config)) < COUNT
    for query in (
        "SELECT completion_id, raw, metadata FROM completions ORDER BY ALL",
        "SELECT completion_id, message_id, raw FROM messages ORDER BY ALL",
        "SELECT new, redacted FROM runs",
    ):
        assert rows(there, query) == rows(alone, query)
    ((new, counts, requests),) = rows(there, "SELECT new, redacted, requests FROM runs")
    assert prefect_server.state(run_id(state))[2] == f"openai: {new} new, 0 failed"
    assert set(counts) == {"dropped", "hashed", "image", "order"}
    # What a worker asked for and took with it is not in the run's figures.
    assert requests < server.stats()["total"]


@pytest.mark.parametrize("where", ["processes", "dask"])
def test_a_batch_that_no_worker_survives_is_named(
    where: str,
    server: Running,
    config: Path,
    prefect_server: Prefect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its completions are failures of the run, with the reason; the next run fetches them."""
    with_runner(config, kind=where, workers=1)
    asked = server.ids()[:20]
    monkeypatch.setattr(ProcessWorkers, "tries", 1)
    dies = {failpoints.VARIABLE: "batch.started:kill"}
    at_once = {"distributed.scheduler.allowed-failures": 0}
    with mock.patch.dict(os.environ, dies), dask.config.set(at_once):
        state = run(export_completions, asked, config=str(config))

    _, name, message = prefect_server.state(run_id(state))
    assert name == "Incomplete"
    assert message.startswith("20 of 20 completions could not be fetched: 20 worker_lost. ")
    failed = rows(load_settings(config), "SELECT DISTINCT reason, detail FROM failures")
    assert [reason for reason, _ in failed] == ["worker_lost"]
    assert failed[0][1].startswith("the worker died: ")

    with_runner(config, kind="threads")
    assert run(backup, str(config)).is_completed()
    assert stored_ids(config) == sorted(server.ids())
    assert rows(load_settings(config), "SELECT * FROM failures") == []


@pytest.mark.parametrize("where", CLUSTERS)
def test_a_cluster_that_does_not_answer(where: str, config: Path, prefect_server: Prefect) -> None:
    """An address at which nobody listens ends the run with the address; nothing is fetched."""
    with_runner(config, kind=where, address="127.0.0.1:9")

    with hook(200) as taking:
        config.write_text(config.read_text() + f"\nnotify: {taking.url}\n")
        state = run(backup, str(config))

    message = prefect_server.state(run_id(state))[2]
    assert f"no {where.capitalize()} cluster answers at runner.address 127.0.0.1:9" in message
    assert error_of(state).exit_code == 1
    assert [posted["status"] for posted in taking.posted] == ["failed"]
    assert not Path(load_settings(config).lake_location).exists()


@pytest.mark.parametrize("where", ["dask", "ray"])
def test_a_library_that_is_missing_is_named(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra to install is a part of the message."""
    monkeypatch.setattr("chatlake.bootstrap.runners.find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match=rf"chatlake\[{where}\]"):
        require_extra(Runner(kind=where))


@pytest.mark.parametrize("version", [None, "0.0.1"])
def test_workers_need_this_version(version: str | None) -> None:
    """Workers with another chatlake, or none, are refused."""
    runner = Runner(kind="dask", address="tcp://scheduler:8786")

    with pytest.raises(ConfigurationError, match="tcp://scheduler:8786") as refused:
        require_version(runner, version)

    assert (version or "no chatlake") in refused.value.message
