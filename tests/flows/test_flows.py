"""The flows against the simulator, with a Prefect server: data, states, artifacts, logs."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from prefect.settings import PREFECT_API_URL

from chatlake.bootstrap.backup import open_lake
from chatlake.bootstrap.runtime import export_batch
from chatlake.config import load_settings
from chatlake.errors import AuthenticationError, ChatlakeError, LakeLockedError
from chatlake.flows.backup import backup
from chatlake.flows.export_completions import export_completions
from chatlake.flows.shown.artifacts import FAILURES_KEY, REPORT_KEY
from chatlake.flows.shown.progress_artifact import PROGRESS_KEY
from chatlake.simulator import Faults, Running
from tests.flows.prefect_server import COUNT, Prefect
from tests.flows.script import finish, start
from tests.hook import hook
from tests.support import KEY, KEY_VARIABLE, part_files, rows, wait_for_messages

pytestmark = pytest.mark.usefixtures("prefect_server")


def run(flow: Any, *args: Any, **parameters: Any) -> Any:
    """Run a flow in this process; returns its final state."""
    return flow(*args, **parameters, return_state=True)


def run_id(state: Any) -> Any:
    """Return the flow run that a state belongs to."""
    return state.state_details.flow_run_id


def stored_ids(config: Path) -> list[str]:
    """Return the ids of the completions in the lake, sorted."""
    query = "SELECT completion_id FROM completions ORDER BY ALL"
    return [row[0] for row in rows(load_settings(config), query)]


def error_of(state: Any) -> ChatlakeError:
    """Return the error that a state carries."""
    error = state.result(raise_on_failure=False)
    assert isinstance(error, ChatlakeError)
    return error


def test_a_backup_stores_everything_and_completes(
    server: Running, config: Path, prefect_server: Prefect
) -> None:
    """Every completion and message of the source is in the lake, and the state says so."""
    state = run(backup, str(config))

    assert prefect_server.state(run_id(state)) == (
        "COMPLETED", "Completed", f"openai: {COUNT} new, 0 failed",
    )  # fmt: skip
    assert stored_ids(config) == sorted(server.ids())
    query = "SELECT completion_id, message_id FROM messages WHERE direction = 'input'"
    truth = [
        (item["completion"]["id"], message["id"])
        for item in server.truth()
        for message in item["messages"]
    ]
    assert sorted(rows(load_settings(config), query)) == sorted(truth)


@pytest.mark.slow
def test_a_second_backup_adds_nothing(config: Path, prefect_server: Prefect) -> None:
    """What is stored already is looked at, not fetched or written again."""
    run(backup, str(config))
    files = part_files(load_settings(config))

    state = run(backup, str(config))

    kind, _, message = prefect_server.state(run_id(state))
    assert kind == "COMPLETED"
    assert message.startswith("openai: 0 new, ")
    assert part_files(load_settings(config)) == files


@pytest.mark.slow
def test_the_run_leaves_its_figures_and_its_log(config: Path, prefect_server: Prefect) -> None:
    """Artifacts have the figures and the progress, and the engine's log is in the run's log."""
    state = run(backup, str(config))

    artifacts = prefect_server.artifacts(run_id(state))
    report = artifacts[REPORT_KEY]
    assert report.startswith("## Backup: complete\n")
    assert f"| listed | {COUNT} |" in report
    assert f"| new | {COUNT} |" in report
    assert load_settings(config).lake_location in report
    assert msgspec.json.decode(artifacts[FAILURES_KEY]) == []
    assert artifacts[PROGRESS_KEY] == 100.0
    assert "openai: incremental backup begins" in prefect_server.logs(run_id(state))


@pytest.mark.slow
def test_failures_make_the_run_incomplete(
    server: Running, config: Path, prefect_server: Prefect
) -> None:
    """A run with gaps is a failed run named Incomplete, with a table that names each gap."""
    server.set_faults(Faults(missing=0.05))

    state = run(backup, str(config))

    failed = rows(load_settings(config), "SELECT completion_id FROM failures ORDER BY ALL")
    assert 0 < len(failed) < COUNT
    kind, name, message = prefect_server.state(run_id(state))
    assert (kind, name) == ("FAILED", "Incomplete")
    assert message == (
        f"{len(failed)} of {COUNT} completions could not be fetched: {len(failed)} not_found. "
        f"openai: {COUNT - len(failed)} new, {len(failed)} failed. The next run tries again"
    )
    assert error_of(state).exit_code == 3
    table = msgspec.json.decode(prefect_server.artifacts(run_id(state))[FAILURES_KEY])
    assert sorted(row["completion_id"] for row in table) == [row[0] for row in failed]
    assert {(row["source"], row["reason"]) for row in table} == {("openai", "not_found")}
    assert all(row["request_id"] and row["detail"].strip("`").startswith("404 ") for row in table)
    assert not [row for row in table if row["completion_id"] in row["detail"]]
    assert len(stored_ids(config)) == COUNT


@pytest.mark.slow
def test_a_wrong_key_fails_with_the_reason(config: Path, prefect_server: Prefect) -> None:
    """A key that the service refuses ends the run at once, and the state says why."""
    with mock.patch.dict(os.environ, {KEY_VARIABLE: "sk-test-another-key"}):
        state = run(backup, str(config))

    kind, name, message = prefect_server.state(run_id(state))
    assert (kind, name) == ("FAILED", "Failed")
    assert message.startswith("openai: unauthorized: ")
    assert isinstance(error_of(state), AuthenticationError)
    assert error_of(state).exit_code == 5
    assert "unauthorized" in prefect_server.artifacts(run_id(state))[REPORT_KEY]


@pytest.mark.slow
def test_an_error_in_a_task_ends_the_run_with_the_same_error(
    server: Running, config: Path, prefect_server: Prefect
) -> None:
    """A key revoked in the middle: exit code 5, and what was fetched is committed."""

    def revoke() -> None:
        wait_for_messages(server, 5)
        server.set_faults(Faults(error_401=1))

    revoking = threading.Thread(target=revoke)
    revoking.start()
    try:
        state = run(backup, str(config))
    finally:
        revoking.join()

    assert isinstance(error_of(state), AuthenticationError)
    assert prefect_server.state(run_id(state))[2].startswith("openai: unauthorized: ")
    settings = load_settings(config)
    assert rows(settings, "SELECT DISTINCT status FROM runs") == [("failed",)]
    stored = rows(settings, "SELECT count(DISTINCT completion_id) FROM messages")
    assert stored == rows(settings, "SELECT count(*) FROM completions")


@pytest.mark.slow
def test_a_crashed_batch_is_tried_again_once(
    config: Path, prefect_server: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that dies of something unforeseen is run once more, and the run completes."""
    crashes = _crash(monkeypatch, times=1)

    state = run(backup, str(config))

    assert prefect_server.state(run_id(state))[2] == f"openai: {COUNT} new, 0 failed"
    assert crashes == []


@pytest.mark.slow
def test_a_batch_that_crashes_again_fails_the_run(
    config: Path, prefect_server: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error that repeats fails the run, and the lake's ledger says so too."""
    _crash(monkeypatch, times=100)

    state = run(backup, str(config))

    kind, _, message = prefect_server.state(run_id(state))
    assert kind == "FAILED"
    assert "RuntimeError('a bug')" in message
    assert rows(load_settings(config), "SELECT DISTINCT status FROM runs") == [("failed",)]


def _crash(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Exception]:
    """Let batches crash; returns the crashes that are still to come."""
    crashes: list[Exception] = [RuntimeError("a bug")] * times

    def crash(*args: Any, **options: Any) -> Any:
        if crashes:
            raise crashes.pop()
        return export_batch(*args, **options)

    monkeypatch.setattr("chatlake.flows.batches.tasks.export_batch", crash)
    return crashes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        (backup, {}),
        (backup, {"full": True}),
        (export_completions, {"completion_ids": ["chatcmpl-1"]}),
    ],
)
def test_a_run_that_meets_another_one_is_skipped(
    flow: Any, parameters: dict[str, Any], *, config: Path, prefect_server: Prefect
) -> None:
    """While another run writes, it ends as Skipped, names the writer, and sends no notification."""
    with hook(200) as address, mock.patch.dict(os.environ, {"CHATLAKE_HOOK": address.url}):
        config.write_text(config.read_text() + "\nnotify: ${CHATLAKE_HOOK}\n")
        with open_lake(load_settings(config), create=True).lock("another-run"):
            state = run(flow, config=str(config), **parameters)

    kind, name, message = prefect_server.state(run_id(state))
    assert (kind, name) == ("COMPLETED", "Skipped")
    assert re.fullmatch(
        rf"skipped: process {os.getpid()} on \S+ has been writing since \S+Z, run another-run",
        message,
    )
    assert isinstance(error_of(state), LakeLockedError)
    assert "## Backup: skipped" in prefect_server.artifacts(run_id(state))[REPORT_KEY]
    assert address.posted == []
    assert stored_ids(config) == []


@pytest.mark.slow
def test_a_script_that_meets_another_run_ends_as_locked(
    config: Path, tmp_path: Path, prefect_server: Prefect
) -> None:
    """Exit code 8 and a line that names the other one, though Prefect calls the run Skipped."""
    server = str(PREFECT_API_URL.value())
    with open_lake(load_settings(config), create=True).lock("another-run"):
        script = start("backup.py", "--config", str(config), home=tmp_path, PREFECT_API_URL=server)
        code, out, err = finish(script)

    assert code == 8, err
    (told,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert f"is being written by process {os.getpid()} on " in told
    assert "\nWait for that run to end, then run again.\n" in err
    assert out == ""


@pytest.mark.slow
def test_a_run_that_loses_its_lock_fails(config: Path, prefect_server: Prefect) -> None:
    """What had begun and is locked out half way is a failure, and notified."""
    taken = LakeLockedError("The lock of the lake was taken over by another run")
    with hook(200) as address, mock.patch.dict(os.environ, {"CHATLAKE_HOOK": address.url}):
        config.write_text(config.read_text() + "\nnotify: ${CHATLAKE_HOOK}\n")
        with mock.patch("chatlake.lake.lake.Lake.commit", side_effect=taken):
            state = run(backup, str(config))

    kind, name, message = prefect_server.state(run_id(state))
    assert (kind, name) == ("FAILED", "Failed")
    assert "locked: The lock of the lake was taken over" in message
    assert [each["exit_code"] for each in address.posted] == [8]


@pytest.mark.slow
def test_a_wrong_configuration_fails_clearly(tmp_path: Path, prefect_server: Prefect) -> None:
    """A deployment whose configuration is invalid fails with the file and the key."""
    path = tmp_path / "chatlake.yaml"
    path.write_text("version: 1\nlake: lake\nsource: []\n")

    state = run(backup, str(path))

    message = prefect_server.state(run_id(state))[2]
    assert message.startswith("configuration: ")
    assert "source" in message
    assert error_of(state).exit_code == 4


@pytest.mark.slow
def test_just_these_completions(server: Running, config: Path, prefect_server: Prefect) -> None:
    """The messages of the ids asked for are in the lake, each once, and of no others."""
    asked = server.ids()[10:20]

    state = run(export_completions, [*asked, *asked[:3]], config=str(config))

    assert prefect_server.state(run_id(state))[2] == "openai: 10 new, 0 failed"
    assert stored_ids(config) == sorted(asked)


@pytest.mark.slow
def test_ids_from_a_file(server: Running, config: Path, tmp_path: Path) -> None:
    """A file with one id a line stands for a list that is too long for a parameter."""
    asked = server.ids()[:70]
    ids_file = tmp_path / "ids.txt"
    ids_file.write_text("".join(f"{name}\n" for name in asked))

    state = run(export_completions, ids_file=str(ids_file), config=str(config))

    assert state.is_completed(), state.message
    assert stored_ids(config) == sorted(asked)


@pytest.mark.slow
def test_an_unknown_id_is_a_named_failure(
    server: Running, config: Path, prefect_server: Prefect
) -> None:
    """An id that the source does not know makes the run incomplete; the others are stored."""
    asked = [*server.ids()[:3], "chatcmpl-unknown"]

    state = run(export_completions, asked, config=str(config))

    _, name, message = prefect_server.state(run_id(state))
    assert name == "Incomplete"
    assert message.startswith("1 of 4 completions could not be fetched: 1 not_found. openai: 3 new")
    assert stored_ids(config) == sorted(asked[:3])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "either completion_ids or ids_file"),
        ({"completion_ids": ["chatcmpl-a"], "ids_file": "ids.txt"}, "either"),
        ({"completion_ids": []}, "no completion id"),
        ({"completion_ids": ["[]"]}, "expected one completion id"),
        ({"ids_file": "/nowhere/ids.txt"}, "cannot be read"),
        ({"completion_ids": ["chatcmpl-a"], "source": "opnai"}, "there is no source 'opnai'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    parameters: dict[str, Any], expected: str, config: Path
) -> None:
    """Ids twice, not at all, or of no source: a usage error that says what is expected."""
    error = error_of(run(export_completions, config=str(config), **parameters))

    assert error.exit_code == 2
    assert expected in error.message


@pytest.mark.slow
def test_several_sources_need_a_name(server: Running, config: Path) -> None:
    """Ids do not say whose they are: with two sources one has to be named."""
    document = msgspec.yaml.decode(config.read_bytes())
    document["sources"].append({**document["sources"][0], "name": "azure"})
    config.write_bytes(msgspec.yaml.encode(document))
    asked = server.ids()[:2]

    refused = error_of(run(export_completions, asked, config=str(config)))
    state = run(export_completions, asked, config=str(config), source="azure")

    assert "several sources" in refused.message
    assert "openai, azure" in refused.hint
    assert state.is_completed(), state.message


@pytest.mark.slow
def test_the_key_is_nowhere_in_prefect(
    server: Running,
    config: Path,
    prefect_server: Prefect,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No parameter, log, result, state or artifact holds the key, whatever the run's end."""
    ids = server.ids()[:3]
    ended = [
        run(backup, str(config)),
        run(export_completions, [*ids, "chatcmpl-unknown"], config=str(config)),
    ]
    server.set_faults(Faults(error_401=3))
    ended.append(run(export_completions, ids, config=str(config)))
    ended.append(run(backup, str(config), full=True))

    logs = [line for state in ended for line in prefect_server.logs(run_id(state))]
    captured = capfd.readouterr()
    assert len(logs) >= 2 * len(ended)
    assert KEY not in "\n".join([*logs, captured.out, captured.err])
    assert files_with(KEY, [prefect_server.database.parent, Path(os.environ["PREFECT_HOME"])]) == []
    assert files_with("chatlake-report", [prefect_server.database.parent]) != []


def files_with(text: str, folders: Sequence[Path]) -> list[Path]:
    """Return the files below `folders` that hold a text, SQLite's own files included."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in paths if text.encode() in path.read_bytes()]
