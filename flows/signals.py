"""SIGINT and SIGTERM as the errors that they mean, while a flow works in the main thread."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from chatlake.errors import RunInterruptedError, RunTerminatedError

_ERRORS = {signal.SIGINT: RunInterruptedError, signal.SIGTERM: RunTerminatedError}


@contextlib.contextmanager
def raising_signals() -> Iterator[None]:
    """Raise RunInterruptedError or RunTerminatedError at the first signal.

    A second one ends the process at once. Elsewhere than in the main thread signals are not ours.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise _ERRORS[signal.Signals(number)]("stopped by a signal")

    before = {number: signal.signal(number, stop) for number in _ERRORS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
