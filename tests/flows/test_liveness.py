"""Which runs that Prefect calls under way are dead: by their labels, the lake's lock, the time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatlake.flows.liveness import (
    BOOT,
    HOST,
    MACHINE,
    NO_SILENCE,
    PROCESS,
    STARTED,
    SilenceAllowed,
    UnderWay,
    own_labels,
    why_dead,
)

LAKE = "/srv/lake"
NOW = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
IS_WRITTEN = [pytest.param(True, id="locked"), pytest.param(False, id="free")]


def judged(
    labels: dict[str, Any] | None = None,
    *,
    age: timedelta = DAY,
    locked: bool = False,
    attempt: int = 1,
    has_started: bool = True,
    is_of_ours: bool = True,
    lake: str = LAKE,
    patience: SilenceAllowed = SilenceAllowed(),  # noqa: B008 - frozen
) -> str | None:
    """Judge a run that has been under way for `age`."""
    run = UnderWay(has_started, NOW - age, attempt, labels or {}, is_of_ours)
    return why_dead(run, lake, NOW, lambda: locked, patience)


def of_a_dead_process() -> dict[str, Any]:
    """Return the labels of a process of this machine that has ended."""
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    return {**own_labels(LAKE, 1), PROCESS: int(ended.stdout), STARTED: "1"}


def of_another_process_of_that_number() -> dict[str, Any]:
    """Return the labels of a dead process whose number this one has got."""
    return {**own_labels(LAKE, 1), STARTED: "1"}


def of_another_machine() -> dict[str, Any]:
    """Return the labels of a process on another machine."""
    return {**own_labels(LAKE, 1), HOST: "nas", BOOT: "b", MACHINE: "m"}


def of_an_earlier_boot() -> dict[str, Any]:
    """Return the labels of a process of this machine before the power failed."""
    return {**own_labels(LAKE, 1), BOOT: "b", MACHINE: "m"}


@pytest.mark.parametrize("locked", IS_WRITTEN)
@pytest.mark.parametrize("age", [timedelta(0), DAY])
def test_a_living_process_of_this_machine_lives(age: timedelta, *, locked: bool) -> None:
    """However long it takes, and whether or not it holds the lock just now."""
    labels = own_labels(LAKE, 1)

    assert judged(labels, age=age, locked=locked) is None
    assert judged(labels, age=age, locked=locked, patience=NO_SILENCE) is None


@pytest.mark.parametrize("locked", IS_WRITTEN)
@pytest.mark.parametrize("labels", [of_a_dead_process, of_another_process_of_that_number])
def test_a_dead_process_of_this_machine_is_dead_at_once(
    labels: Callable[[], dict[str, Any]], *, locked: bool
) -> None:
    """Whoever holds the lock, whichever lake it was, and even if its number was reused."""
    found = labels()

    why = judged(found, age=timedelta(0), locked=locked, lake="/srv/another")

    assert why == f"process {found[PROCESS]} on {found[HOST]} is gone"


def test_a_run_from_before_the_power_failed_is_dead() -> None:
    """At once where the lock is free; where somebody writes it may be another machine of that name."""
    assert "has restarted" in (judged(of_an_earlier_boot(), age=timedelta(0)) or "")
    assert judged(of_an_earlier_boot(), locked=True) is None


def test_a_run_of_another_machine_is_dead_when_it_has_long_held_no_lock() -> None:
    """It may be about to take the lock, so not in its first minutes; nor by another lake's lock."""
    labels = of_another_machine()

    assert judged(labels, age=14 * MINUTE) is None
    assert judged(labels, age=14 * MINUTE, patience=NO_SILENCE) is None
    assert "on nas does not write to the lake" in (judged(labels, age=16 * MINUTE) or "")
    assert judged(labels, age=DAY, locked=True) is None
    assert judged(labels, age=DAY, lake="/srv/another") is None


def test_a_run_that_said_nothing_of_itself_is_judged_by_the_lock_alone() -> None:
    """As one of a known deployment: killed in its first second, it held no lock either."""
    assert judged(age=14 * MINUTE) is None
    assert judged(age=16 * MINUTE) == "no run is writing to the lake"
    assert judged(age=16 * MINUTE, locked=True) is None
    assert judged(age=DAY, is_of_ours=False) is None
    assert judged(age=timedelta(0), patience=NO_SILENCE) == "no run is writing to the lake"


def test_labels_of_an_earlier_attempt_do_not_count() -> None:
    """A run that Prefect starts again has its old labels until its new process writes its own."""
    assert judged(of_a_dead_process(), attempt=2, age=MINUTE) is None
    assert judged({**own_labels(LAKE, 2)}, attempt=2) is None


def test_a_run_that_is_long_pending_is_dead() -> None:
    """Nobody runs it any more after an hour, whichever deployment; `serve` need not wait."""
    assert judged(has_started=False, age=59 * MINUTE) is None
    assert judged(has_started=False, age=61 * MINUTE) == "no process started to run it"
    assert judged(has_started=False, age=61 * MINUTE, is_of_ours=False) is not None
    assert judged(has_started=False, age=timedelta(0), patience=NO_SILENCE) is not None


def test_where_the_kernel_says_nothing_the_lock_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux a process leaves no start and no boot to compare."""
    bare = {**own_labels(LAKE, 1), BOOT: "", MACHINE: "", STARTED: ""}
    monkeypatch.setattr("chatlake.flows.liveness.machine_id", lambda: "")

    assert judged(bare, age=MINUTE) is None
    assert judged(bare, age=DAY) is not None
    assert judged(bare, age=DAY, locked=True) is None


def test_the_labels_hold_no_path() -> None:
    """They name the lake only by a hash, because Prefect's pages need not show its place."""
    labels = own_labels("/srv/customers/secret-lake", 1)

    assert labels[PROCESS] == os.getpid()
    assert not any("secret" in str(value) for value in labels.values())
