"""`chatlake serve`: what is scheduled when, runs that are cancelled, stopped and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import pytest

from chatlake.config import Settings, load_settings
from chatlake.errors import ChatlakeError, ConfigurationError, UsageError
from chatlake.flows.dead_runs import close_runs_of
from chatlake.flows.serve.deployments import deployments_of, runner_deployment, weekly
from chatlake.flows.serve.own_server import free_port
from chatlake.flows.serve.serving import _check_names
from chatlake.simulator import Running, Scenario, running
from tests.command_line import CommandLine
from tests.flows.prefect_server import COUNT, Prefect, processes_with
from tests.support import KEY, KEY_VARIABLE, NOW, backup, rows, wait_for_messages, write_config

pytestmark = pytest.mark.slow


def with_schedule(config: Path, cron: str, timezone: str = "UTC") -> Settings:
    """Give a configuration a schedule and load it."""
    text = f'\nschedule: {{cron: "{cron}", timezone: {timezone}}}\n'
    config.write_text(config.read_text() + text)
    return load_settings(config)


@pytest.mark.parametrize(
    ("cron", "sweep", "maintain"),
    [
        ("0 2 * * *", "0 4 * * 0", "0 6 * * 0"),
        ("30 23 * * 1-5", "30 1 * * 0", "30 3 * * 0"),
        ("*/10 * * * *", "0 2 * * 0", "0 4 * * 0"),
        ("45,15 20,8 1 JAN *", "15 10 * * 0", "15 12 * * 0"),
    ],
)
def test_the_weekly_runs_follow_the_backup(
    cron: str, sweep: str, maintain: str, config: Path
) -> None:
    """The sweep comes two hours after the first backup of a Sunday, the maintenance four."""
    settings = with_schedule(config, cron, "Europe/Berlin")

    nightly, weekly_sweep, weekly_maintain = deployments_of(settings)

    assert (nightly.cron, weekly_sweep.cron, weekly_maintain.cron) == (cron, sweep, maintain)
    assert weekly(cron, 2) == sweep
    assert weekly_sweep.parameters == {"config": str(config), "full": True}


def test_deployments_say_what_prefect_needs(config: Path) -> None:
    """Schedule and zone, no limit, tags, and a flow that is found from any folder."""
    settings = with_schedule(config, "0 2 * * *", "Europe/Berlin")

    deployments = [runner_deployment(each, settings) for each in deployments_of(settings, "azure")]

    assert [each.full_name for each in deployments] == [
        "backup/nightly-backup-azure",
        "backup/weekly-full-sweep-azure",
        "maintain/weekly-maintain-azure",
    ]
    for each in deployments:
        assert each.concurrency_limit is None
        assert each.concurrency_options is None
        assert each.tags == ["chatlake", "openai"]
        assert each.schedules[0].schedule.timezone == "Europe/Berlin"
    assert deployments[0].entrypoint == "chatlake.flows.backup.backup"
    assert deployments[2].entrypoint == "chatlake.flows.maintain.maintain"


def test_the_next_run_is_in_the_schedules_zone(config: Path) -> None:
    """The printed time is in the schedule's zone, and in the future."""
    settings = with_schedule(config, "0 2 * * *", "Europe/Berlin")

    date = asyncio.run(deployments_of(settings)[0].next_run("Europe/Berlin"))

    assert (date.hour, date.minute) == (2, 0)
    assert date > datetime.now(UTC)


def test_a_schedule_that_prefect_cannot_read_is_named(config: Path) -> None:
    """A configuration error with the key, not an error of Prefect."""
    settings = with_schedule(config, "0 2 LW * *")

    with pytest.raises(ConfigurationError, match=r"schedule\.cron: Prefect cannot read '0 2 LW"):
        runner_deployment(deployments_of(settings)[0], settings)


def test_a_port_that_is_taken(server: Running) -> None:
    """A port that is given must be free; otherwise another free one is found."""
    taken = int(server.base_url.split(":")[2].split("/")[0])

    with pytest.raises(ChatlakeError, match=f"port {taken} is taken"):
        free_port(taken)
    with mock.patch("chatlake.flows.serve.own_server.DEFAULT_PORT", taken):
        assert free_port(None) != taken


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("--config", "nowhere.yaml"), 4, "nowhere.yaml"),
        (("--config", "{config}", "--name", "a b"), 2, "--name a b"),
        (("--config", "{config}", "--port", "70000"), 2, "--port"),
    ],
)
def test_what_is_wrong_is_told_at_once(
    words: tuple[str, ...],
    code: int,
    expected: str,
    *,
    config: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wrong arguments and configurations end it before anything is started."""
    done = CommandLine(capsys)("serve", *(word.format(config=config) for word in words))

    assert (done.code, done.out) == (code, "")
    assert expected in done.err


def test_a_missing_key_is_told_at_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing key is reported now, not at two in the morning."""
    with mock.patch.dict(os.environ, {KEY_VARIABLE: ""}):
        done = CommandLine(capsys)("serve", "--config", str(config))

    assert done.code == 4
    assert KEY_VARIABLE in done.err


async def _of_a_killed_run(settings: Settings) -> tuple[str, str]:
    from prefect.client.orchestration import get_client
    from prefect.states import Running as UnderWay

    (deployment, *_) = [
        await each.flow.ato_deployment(each.name, parameters=each.parameters, paused=False)
        for each in deployments_of(settings)
    ]
    deployment_id = await deployment.aapply()
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment_id)
        await client.set_flow_run_state(run.id, UnderWay(), force=True)
        await asyncio.to_thread(close_runs_of, settings, [deployment_id])
        state = (await client.read_flow_run(run.id)).state
        assert state is not None
        with pytest.raises(UsageError, match=r"has a deployment backup/nightly-backup of "):
            await _check_names(client, [deployment.model_copy(update={"parameters": {}})])
        await _check_names(client, [deployment])
        await client.delete_deployment(deployment_id)
    return state.type.value, state.message or ""


def test_a_killed_run_is_no_longer_called_running(config: Path, prefect_server: Prefect) -> None:
    """What a killed server of schedules left as Running is Crashed once another one starts.

    And that one refuses names that another configuration has.
    """
    settings = load_settings(config)
    backup(settings)

    kind, message = asyncio.run(_of_a_killed_run(settings))

    assert kind == "CRASHED"
    assert "killed" in message


def _start(config: Path, home: Path) -> subprocess.Popen[str]:
    from prefect.settings import PREFECT_API_URL

    variables = {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_COLORS": "false",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "chatlake", "serve", "--config", str(config)],
        env={**os.environ, KEY_VARIABLE: KEY, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _triggered() -> UUID:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("backup/nightly-backup")
        assert not deployment.paused
        return UUID(str(client.create_flow_run_from_deployment(deployment.id).id))


def _cancel(flow_run_id: Any) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Cancelling())


def _is_paused() -> bool:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name("maintain/weekly-maintain").paused


def test_runs_that_are_cancelled_and_stopped_lose_nothing(
    tmp_path: Path, prefect_server: Prefect
) -> None:
    """Cancelled in Prefect, or ended with the server of schedules: what was fetched is committed.

    The next run continues from there; `serve` ends with 143, its schedules paused, no process left.
    """
    scenario = Scenario(completions=COUNT, seed=5, now=NOW, api_key=KEY, latency_ms=200)
    with running(scenario) as server:
        config = write_config(tmp_path, server.base_url, pace={"concurrency": 2})
        process = _start(config, tmp_path / "home")
        assert process.stdout is not None
        first = [next(process.stdout) for _ in range(6)]
        reading = threading.Thread(target=lambda: first.extend(process.stdout or ()), daemon=True)
        reading.start()
        cancelled = _triggered()
        wait_for_messages(server, 10)
        _cancel(cancelled)
        _wait(prefect_server, cancelled, "CANCELLED")
        settings = load_settings(config)
        ((stored,),) = rows(settings, "SELECT count(*) FROM completions")
        stopped = _triggered()
        wait_for_messages(server, server.stats()["requests"]["messages"] + 10)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        reading.join(10)
        process.stdout.close()
        ((more,),) = rows(settings, "SELECT count(*) FROM completions")

    output = "".join(first)
    assert code == 143, output
    assert output.splitlines()[1] == f"Serving {config}, next runs (UTC):"
    assert "  weekly-maintain      Sun " in output
    assert "Traceback" not in output
    assert prefect_server.state(stopped)[0] == "CANCELLED"
    assert 0 < stored < more < COUNT
    assert _is_paused()
    assert processes_with(str(tmp_path / "home")) == []
    assert rows(settings, "SELECT count(*), count(DISTINCT completion_id) FROM completions") == [
        (more, more)
    ]


def _wait(prefect_server: Prefect, flow_run_id: Any, kind: str) -> None:
    waited = threading.Event()
    for _ in range(300):
        if prefect_server.state(flow_run_id)[0] == kind:
            return
        waited.wait(0.2)
    raise AssertionError(f"the run is {prefect_server.state(flow_run_id)}")
