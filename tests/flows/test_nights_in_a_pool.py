"""Nights in a work pool, with a real server and worker: killed, restarted, and what comes after."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatlake.config import load_settings
from chatlake.simulator import Running, Scenario, running
from tests.flows.pool import REPOSITORY, Pool, pool
from tests.flows.prefect_server import COUNT, tells_status
from tests.support import KEY, NOW, rows, wait_for_messages, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
NIGHTLY = "backup/nightly-backup"
EARLIER = {"backup": "nightly-backup", "maintain": "weekly-maintain"}


@pytest.fixture(scope="module")
def source() -> Iterator[Running]:
    """Serve some completions, slowly, so that a run can be killed half way."""
    scenario = Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY, latency_ms=100)
    with running(scenario) as server:
        yield server


@pytest.fixture(scope="module")
def nights(source: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Run a work pool as docs/scheduling.md says."""
    folder = tmp_path_factory.mktemp("pool")
    config = write_config(folder, source.base_url, pace={"concurrency": 1})
    with pool(folder, config) as made:
        for flow, name in EARLIER.items():
            deploy_with_limit(made, flow, name)
        made.prefect("--no-prompt", "deploy", "--all")
        yield made


def deploy_with_limit(nights: Pool, flow: str, name: str) -> None:
    """Leave what an earlier deployment has left: a limit of one run."""
    flow_id = nights.ask("flows/", {"name": flow})["id"]
    made = nights.ask("deployments/", {"name": name, "flow_id": flow_id, "concurrency_limit": 1})
    assert made["global_concurrency_limit"]["limit"] == 1


def begin_and_wait(nights: Pool, source: Running) -> str:
    """Start a night and wait until it has fetched some of it."""
    before = source.stats()["requests"].get("messages", 0)
    run = nights.begin(NIGHTLY)
    wait_for_messages(source, before + 10)
    return run


def everything_is_stored(nights: Pool, source: Running) -> bool:
    """Say whether the lake has every completion once."""
    found = rows(load_settings(nights.config), "SELECT completion_id FROM completions")
    return sorted(key for (key,) in found) == sorted(source.ids())


def test_deploy_asks_nothing_and_sets_no_limit(nights: Pool) -> None:
    """As documented, with `--no-prompt`; it also takes away a limit that an earlier one has set."""
    deployments = nights.ask("deployments/filter")
    assert {*EARLIER.values()} < {each["name"] for each in deployments}
    assert len(deployments) == 3
    for each in deployments:
        assert each["global_concurrency_limit"] is None
        assert each["work_pool_name"] == "chatlake"
    text = (REPOSITORY / "docs/scheduling.md").read_text()
    assert "prefect --no-prompt deploy --all" in text
    assert "set-concurrency-limit" not in text


def test_the_night_after_a_power_loss_outlives_a_restart_of_its_server(
    nights: Pool, source: Running
) -> None:
    """Server, worker and run are killed: the next night completes, and the killed run is Crashed.

    It does so though its server is killed again and restarted. It fetches on meanwhile; no lease is
    lost, nothing is terminated.
    """
    nights.start_worker()
    killed = begin_and_wait(nights, source)
    nights.kill("server", "worker", "run")
    nights.start_server()
    assert nights.state(killed)[0] == "RUNNING"  # as Prefect leaves it
    nights.start_worker()

    source.grow(60)
    after = begin_and_wait(nights, source)
    nights.kill("server")
    asked = source.stats()["requests"]["messages"]
    wait_for_messages(source, asked + 10)  # nobody is there, and it fetches on
    nights.start_server()
    ended = nights.until_ended(after)

    assert ended[:2] == ("COMPLETED", "Completed"), ended
    kind, _, message = nights.state(killed)
    assert kind == "CRASHED"
    assert re.match(r"its process was killed \(process \d+ on \S+ is gone\); ", message)
    assert not tells_status(nights.output(), 410)
    assert "Terminating execution" not in nights.output()
    assert everything_is_stored(nights, source)


def test_a_run_outlives_its_worker(nights: Pool, source: Running) -> None:
    """If only the worker is killed, its run survives; late runs start when it returns."""
    nights.start_worker()
    source.grow(60)
    run = begin_and_wait(nights, source)
    nights.kill("worker")
    late = nights.begin(NIGHTLY)

    ended = nights.until_ended(run)

    assert ended[:2] == ("COMPLETED", "Completed"), ended
    assert everything_is_stored(nights, source)
    assert nights.state(late)[0] == "SCHEDULED"
    nights.start_worker()
    assert nights.until_ended(late)[:2] == ("COMPLETED", "Completed")


def automations() -> list[dict[str, Any]]:
    """Return the automations that docs/scheduling.md shows."""
    text = (REPOSITORY / "docs/scheduling.md").read_text()
    (block,) = re.findall(r"```yaml\n(# automations\.yaml.*?)```", text, re.DOTALL)
    found = yaml.safe_load(block)["automations"]
    assert isinstance(found, list)
    return found


def fired(nights: Pool, name: str) -> bool:
    """Say whether an automation was triggered."""
    events = nights.ask(
        "events/filter", {"filter": {"event": {"name": ["prefect.automation.triggered"]}}}
    )
    return any(each["resource"].get("prefect.resource.name") == name for each in events["events"])


def test_the_documented_automations_fire(nights: Pool, tmp_path: Path) -> None:
    """For a cancelled, a late and a long pending night, and where no night completes at all."""
    made = automations()
    file = tmp_path / "automations.json"
    for each in made:
        each["actions"] = [{"type": "do-nothing"}]
        if each["trigger"]["posture"] == "Proactive":
            each["trigger"]["within"] = 10
    file.write_text(json.dumps({"automations": made}))
    nights.prefect("automation", "create", "--from-file", str(file))
    if "worker" in nights.started:
        nights.kill("worker")

    late = nights.begin(NIGHTLY)
    nights.until(lambda: nights.state(late)[1] == "Late")
    reactive, pending, silent = (each["name"] for each in made)
    nights.until(lambda: fired(nights, reactive))
    nights.ask(f"flow_runs/{late}/set_state", {"state": {"type": "PENDING"}, "force": True})
    nights.until(lambda: fired(nights, pending))
    nights.until(lambda: fired(nights, silent))
    nights.ask(f"flow_runs/{late}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
