"""SIGINT and SIGTERM as the errors that they mean, while a flow works in the main thread."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from chatlake.bootstrap.stop_wish import Heard, StopWish
from chatlake.errors import RunInterruptedError, RunTerminatedError

_ERRORS = {signal.SIGINT: RunInterruptedError, signal.SIGTERM: RunTerminatedError}


@contextlib.contextmanager
def raising_signals() -> Iterator[None]:
    """Raise RunInterruptedError or RunTerminatedError at the first signal.

    One that says the same again changes nothing, a later one ends the process at once (StopWish).
    Elsewhere than in the main thread signals are not ours.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    wish = StopWish()

    def stop(number: int, _frame: FrameType | None) -> None:
        heard = wish.heard()
        if heard is Heard.FIRST:
            raise _ERRORS[signal.Signals(number)]("stopped by a signal")
        if heard is Heard.AT_ONCE:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    before = {number: signal.signal(number, stop) for number in _ERRORS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
