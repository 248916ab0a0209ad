"""Named points between the steps of a commit where a test may make the process fail.

The order of a commit is a promise: a killed run loses and duplicates nothing. To test it, the
process must be stoppable at each step. If nothing is armed, `reach` costs one look-up in an empty
dictionary.

A test in the same process uses `active`; a test of a whole command sets the environment variable
`CHATLAKE_FAILPOINT` to `NAME:kill`, `NAME:error` or `NAME:SIGINT+SIGTERM` (signals in turn; the
point waits for each), with `:N` for the Nth time it is reached. The variable works only together
with `CHATLAKE_TESTS=1`, which the tests set. So a variable left in an environment cannot kill a
backup.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from chatlake.errors import UsageError

VARIABLE: Final = "CHATLAKE_FAILPOINT"
SWITCH: Final = "CHATLAKE_TESTS"

NAMES: Final[tuple[str, ...]] = (
    "part.written",
    "part.synced",
    "part.renamed",
    "part.folder_synced",
    "commit.started",
    "manifest.written",
    "manifest.synced",
    "manifest.linked",
    "manifest.folder_synced",
    "commit.applied",
    "checkpoint.written",
    "checkpoint.synced",
    "checkpoint.linked",
    "checkpoint.folder_synced",
    "catalog.built",
    "catalog.written",
    "catalog.synced",
    "catalog.swapped",
    "catalog.folder_synced",
)
"""Every point of a commit, in the order in which it reaches them."""

MAINTENANCE: Final[tuple[str, ...]] = (
    "compaction.merged",
    "compaction.committed",
    "vacuum.removed",
    "forget.rewritten",
    "forget.committed",
)
"""Points around the commits of a compaction or a forgetting, and after each file that a vacuum
removes.
"""

TIDYING: Final[tuple[str, ...]] = (
    "tidying.started",
    "tidying.erased",
    "tidying.removed",
    "tidying.copied",
    "tidying.moved",
    "tidying.ended",
)
"""Points after a run has built its last catalogue, while unlisted files are tidied away.

Before the first file, after each file that is removed or moved, and after all of them.

`tidying.copied` is only in buckets, where a file is copied and then removed.
"""

WORKERS: Final[tuple[str, ...]] = ("batch.started", "batch.written")
"""Points of a batch in a worker's process: before it, and when it has written unlisted files."""

_ALL: Final = (*NAMES, *MAINTENANCE, *TIDYING, *WORKERS)

_SIGNAL_TAKEN_S: Final = 0.2  # by then the main thread has handled it and informed the loop

_armed: dict[str, Callable[[], None]] = {}


class FailPointError(RuntimeError):
    """What an armed point raises unless a test asks for another error."""


def reach(name: str) -> None:
    """Do what a test has armed at this point; usually nothing."""
    if _armed and (action := _armed.get(name)) is not None:
        action()


@contextmanager
def active(name: str, error: BaseException | None = None, *, nth: int = 1) -> Iterator[None]:
    """Raise `error` (or FailPointError) when `name` is reached for the `nth` time in the block.

    ValueError if no point has this name.
    """
    failure = FailPointError(f"fail-point {name}") if error is None else error

    def fail() -> None:
        raise failure

    with calling(fail, name, nth=nth):
        yield


@contextmanager
def calling(action: Callable[[], None], name: str, *, nth: int = 1) -> Iterator[None]:
    """Call `action` when `name` is reached for the `nth` time in the block.

    ValueError if no point has this name.
    """
    _arm(name, action, nth)
    try:
        yield
    finally:
        _armed.pop(name, None)


def arm_from(setting: str) -> None:
    """Arm what `NAME:kill|error|SIGNALS[:N]` says until the process ends; UsageError if wrong."""
    name, _, rest = setting.partition(":")
    what, _, nth = rest.partition(":")
    signals = _signals(what)
    known = what in {"kill", "error"} or signals
    if name not in _ALL or not known or not (nth.isdigit() or nth == ""):
        raise UsageError(
            f"{VARIABLE}={setting} is not understood",
            hint="NAME:kill, NAME:error or NAME:SIGINT+SIGTERM, with :N for the Nth time."
            f" Names: {', '.join(_ALL)}",
        )

    def fail() -> None:
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(_SIGNAL_TAKEN_S)
        if signals:
            return
        raise FailPointError(f"fail-point {name}")

    _arm(name, fail, int(nth or 1))


def _signals(what: str) -> list[signal.Signals]:
    names = what.split("+")
    return [signal.Signals[name] for name in names] if set(names) <= {"SIGINT", "SIGTERM"} else []


def _arm(name: str, action: Callable[[], None], nth: int) -> None:
    if name not in _ALL:
        raise ValueError(f"no fail-point is called {name!r}")
    left = nth

    def count_down() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            action()

    _armed[name] = count_down


if os.environ.get(VARIABLE) and os.environ.get(SWITCH) == "1":
    arm_from(os.environ[VARIABLE])
