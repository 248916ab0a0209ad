"""A separate session for a run and the Prefect server that is started for it.

A terminal sends Ctrl-C to every process of its foreground group: the server would end before
the run could report its state. And however the run ends, no server may stay behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable

from chatlake import signals
from chatlake.flows.leaving import ends_with

_PASSED_ON = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,  # the terminal was closed
}


def in_own_session(work: Callable[[], int]) -> int:
    """Do `work` in a process with its own session; returns the exit code.

    A signal is passed on to that process, which ends cleanly. A second one, seconds later, ends it
    and everything that it has started at once (`signals.pass_on`). Call this while the process has
    no other thread. In the new process it returns what `work` returns, for the exit.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal between the fork and the handlers would be lost: it waits until they are set.
    with signals.held_back(*_PASSED_ON):
        process = os.fork()
        if process == 0:
            os.setsid()
        else:
            signals.pass_on(process, _PASSED_ON)
    return _ended(process) if process else ends_with(work())


def _ended(process: int) -> int:
    """Wait for the process, end what it has left running, and return its exit code."""
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
