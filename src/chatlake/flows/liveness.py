"""Whether the process of a flow run is alive: what a run records, and how later runs read it.

Prefect shows a run as Running after its process was killed, until something sets another state.
A run therefore labels itself with its machine, process and lake, and later runs read that. On the
same machine the labels are enough: the process is alive or it is not. Another machine cannot see
it. But a live run soon holds the lock of its lake. If the lock is free long after the run's start,
the run is dead.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from chatlake.storage.this_machine import machine_id, process_start

HOST: Final = "chatlake.host"
BOOT: Final = "chatlake.boot"
MACHINE: Final = "chatlake.machine"
PROCESS: Final = "chatlake.process"
STARTED: Final = "chatlake.process-start"
ATTEMPT: Final = "chatlake.attempt"
LAKE: Final = "chatlake.lake"

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

Labels = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SilenceAllowed:
    """How long a run may go without a sign of life.

    `running`: without the lake's lock; a run that waits for a cluster's workers needs ten minutes.
    `pending`: without a process; a pool that fetches an image may need much of an hour.
    """

    running: timedelta = timedelta(minutes=15)
    pending: timedelta = timedelta(hours=1)


NO_SILENCE: Final = SilenceAllowed(timedelta(0), timedelta(0))
"""For runs that only the asking process could have started."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that Prefect shows as under way: since when (UTC), in which attempt, with which labels.

    `is_of_ours`: its deployment is known to write to the caller's lake.
    """

    has_started: bool
    since: datetime
    attempt: int
    labels: Labels
    is_of_ours: bool


def own_labels(lake: str, attempt: int) -> dict[str, bool | int | float | str]:
    """Return the labels that describe this process. `attempt`: the run's, from 1."""
    return {
        HOST: socket.gethostname(),
        BOOT: _boot(),
        MACHINE: machine_id(),
        PROCESS: os.getpid(),
        STARTED: process_start(os.getpid()),
        ATTEMPT: attempt,
        LAKE: _digest(lake),
    }


def why_dead(
    run: UnderWay,
    lake: str,
    now: datetime,
    is_written: Callable[[], bool],
    patience: SilenceAllowed,
) -> str | None:
    """Say why a run is dead; None if it lives, or if that is not known yet.

    `lake`: the caller's; `is_written`: whether a run holds its lock, called only if that matters;
    `patience`: for a run that has no labels yet.
    """
    labels: Labels = run.labels if run.labels.get(ATTEMPT) == run.attempt else {}
    since = now - run.since
    if not run.has_started:
        return "no process started to run it" if since >= patience.pending else None
    if _is_here(labels):
        return _why_gone_here(labels)
    if labels:
        is_same_lake = labels.get(LAKE) == _digest(lake)
        return _why_gone_elsewhere(labels, since, is_written) if is_same_lake else None
    is_dead = run.is_of_ours and since >= patience.running and not is_written()
    return "no run is writing to the lake" if is_dead else None


def _why_gone_here(labels: Labels) -> str | None:
    process = _number(labels.get(PROCESS))
    if process_start(process) == labels[STARTED]:
        return None
    return f"process {process} on {labels.get(HOST)} is gone"


def _why_gone_elsewhere(
    labels: Labels, since: timedelta, is_written: Callable[[], bool]
) -> str | None:
    was = f"process {labels.get(PROCESS)} on {labels.get(HOST)}"
    if _is_of_an_earlier_boot(labels):
        return None if is_written() else f"{was} is gone: that machine has restarted"
    is_dead = since >= SilenceAllowed().running and not is_written()
    return f"{was} does not write to the lake" if is_dead else None


def _is_here(labels: Labels) -> bool:
    """Say whether a process of this machine wrote the labels, since its start."""
    return bool(labels.get(STARTED)) and bool(machine_id()) and labels.get(MACHINE) == machine_id()


def _is_of_an_earlier_boot(labels: Labels) -> bool:
    boot = _boot()
    return (
        bool(boot)
        and bool(labels.get(BOOT))
        and labels.get(HOST) == socket.gethostname()
        and labels.get(BOOT) != boot
    )


def _boot() -> str:
    """Return a name for this boot of this machine; "" if it is unknown."""
    try:
        return _digest(_BOOT_ID.read_text().strip())
    except OSError:
        return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
