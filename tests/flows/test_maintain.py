"""The flow `maintain`: what it merges, reads and removes, and when it must stop."""

from __future__ import annotations

import os
import signal
import time
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.config import Settings, load_settings
from chatlake.errors import ChatlakeError, LakeLockedError
from chatlake.flows.maintain import maintain
from chatlake.flows.maintenance import SLICES, slice_of
from chatlake.flows.shown.maintenance_report import FINDINGS_KEY, MAINTENANCE_KEY
from chatlake.lake.files.replaced import replaced_path
from tests.flows.prefect_server import Prefect
from tests.hook import hook
from tests.support import backup

pytestmark = pytest.mark.slow

LONG_AGO = time.time() - 8 * 86_400


@pytest.fixture
def settings(config: Path, prefect_server: Prefect) -> Settings:
    """Fill a lake, and leave in it what a killed run of long ago would."""
    settings = load_settings(config)
    backup(settings)
    leftover(settings).write_bytes(b"never listed")
    os.utime(leftover(settings), (LONG_AGO, LONG_AGO))
    return settings


def leftover(settings: Settings) -> Path:
    """Return a file that no manifest lists."""
    table = Path(settings.lake_location, "messages")
    return min(table.rglob("*.parquet")).with_name("part-00000000.parquet")


def is_kept(settings: Settings) -> bool:
    """Say whether that file is still there: where it was, or where writers put such files."""
    place = leftover(settings)
    moved = Path(
        settings.lake_location, replaced_path(str(place.relative_to(settings.lake_location)))
    )
    return place.exists() or moved.exists()


def run(settings: Settings) -> Any:
    """Run the flow in this process; returns its final state."""
    return maintain(str(settings.path), return_state=True)


def error_of(state: Any) -> ChatlakeError:
    """Return the error that a state carries."""
    error = state.result(raise_on_failure=False)
    assert isinstance(error, ChatlakeError)
    return error


def test_a_sound_lake_is_kept_in_shape(settings: Settings, prefect_server: Prefect) -> None:
    """A slice is read, what is old and unlisted goes, and an artifact has the figures."""
    state = run(settings)

    run_id = state.state_details.flow_run_id
    kind, name, message = prefect_server.state(run_id)
    listed = len(open_lake(settings).state.files)
    assert (kind, name) == ("COMPLETED", "Completed")
    assert f"of {listed} files read again, no damage; 1 old file removed (12 bytes)" in message
    report = prefect_server.artifacts(run_id)[MAINTENANCE_KEY]
    assert report.startswith("## Maintenance: no damage\n")
    assert "| old files removed | 1 (12 bytes) |" in report
    assert not is_kept(settings)


def test_what_is_older_than_keep_is_erased(settings: Settings, prefect_server: Prefect) -> None:
    """First of all, with a receipt, and the state and the artifact say how much."""
    count = sum(file.rows for file in open_lake(settings).state.table_files("completions"))
    settings.path.write_text(settings.path.read_text() + "\nkeep: 1d\n")

    state = run(settings)

    run_id = state.state_details.flow_run_id
    kind, name, message = prefect_server.state(run_id)
    assert (kind, name) == ("COMPLETED", "Completed")
    assert message.startswith(f"{count} completions older than keep erased; ")
    report = prefect_server.artifacts(run_id)[MAINTENANCE_KEY]
    assert f"| completions older than keep, erased | {count} |" in report
    assert open_lake(settings).state.files == {}
    assert len(list(Path(settings.lake_location, "receipts").iterdir())) == 1


def test_damage_fails_the_run_by_name(
    settings: Settings, prefect_server: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut file: Failed, with its name and exit code 7, a row in the table, nothing removed."""
    path = open_lake(settings).state.table_files("completions")[0].path
    file = Path(settings.lake_location, path)
    file.write_bytes(file.read_bytes()[:-1])

    monkeypatch.setattr("chatlake.flows.maintenance.SLICES", 1)  # whatever the week

    with hook(200) as taking:
        settings.path.write_text(settings.path.read_text() + f"\nnotify: {taking.url}\n")
        state = run(settings)

    run_id = state.state_details.flow_run_id
    kind, name, message = prefect_server.state(run_id)
    assert (kind, name) == ("FAILED", "Failed")
    assert path in message
    (posted,) = taking.posted
    assert (posted["command"], posted["exit_code"]) == ("maintenance", 7)
    assert path in posted["text"]
    assert "exit code 7" in message
    assert error_of(state).exit_code == 7
    rows = msgspec.json.decode(prefect_server.artifacts(run_id)[FINDINGS_KEY])
    assert [row["file"] for row in rows] == [path]
    assert rows[0]["kind"] == "size"
    assert "## Maintenance: damaged" in prefect_server.artifacts(run_id)[MAINTENANCE_KEY]
    assert is_kept(settings)


@pytest.mark.parametrize("step", ["compact_lake", "vacuum_lake"])
def test_a_maintenance_that_meets_a_run_is_skipped(
    step: str, settings: Settings, prefect_server: Prefect
) -> None:
    """While a backup writes, it ends as Skipped and says who writes, in its first step or its last."""
    met = LakeLockedError("the lake is being written by process 7 on nas")
    with (
        hook(200) as address,
        mock.patch.dict(os.environ, {"CHATLAKE_HOOK": address.url}),
        mock.patch(f"chatlake.flows.maintenance.{step}", side_effect=met),
        open_lake(settings).lock("a-backup") if step == "compact_lake" else nullcontext(),
    ):
        settings.path.write_text(settings.path.read_text() + "\nnotify: ${CHATLAKE_HOOK}\n")
        state = run(settings)

    flow_run_id = state.state_details.flow_run_id
    kind, name, message = prefect_server.state(flow_run_id)
    assert (kind, name) == ("COMPLETED", "Skipped")
    assert message.startswith("skipped: ")
    if step == "compact_lake":
        assert f"process {os.getpid()} on " in message
        assert ", run a-backup" in message
    assert "## Maintenance: skipped" in prefect_server.artifacts(flow_run_id)[MAINTENANCE_KEY]
    assert address.posted == []


def test_no_lake_fails_clearly(config: Path, prefect_server: Prefect) -> None:
    """Before the first backup there is nothing to keep in shape, and none is made."""
    settings = load_settings(config)

    state = run(settings)

    assert prefect_server.state(state.state_details.flow_run_id)[2].startswith("no_lake: ")
    assert not Path(settings.lake_location).exists()


def test_a_stopped_maintenance_is_cancelled(
    settings: Settings, prefect_server: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal ends it as Cancelled, with the lake unlocked and whole."""

    def stopped(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr("chatlake.flows.maintenance.verify_storage", stopped)

    state = run(settings)

    assert prefect_server.state(state.state_details.flow_run_id)[0] == "CANCELLED"
    assert error_of(state).exit_code == 143
    with open_lake(settings).lock("the-next"):
        pass


def test_weeks_take_turns() -> None:
    """Four weeks in a row read four different slices, also over the end of a year."""
    weeks = [date(2026, 12, 13) + timedelta(weeks=week) for week in range(SLICES)]

    assert {slice_of(day).part for day in weeks} == {1, 2, 3, 4}
