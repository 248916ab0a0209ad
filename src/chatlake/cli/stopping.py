"""SIGINT and SIGTERM for this process: an exception that ends the command, whatever hides it.

`chatlake backup` handles them itself while it runs. Everywhere else the handlers here raise. A
library may turn that into an error of its own (DuckDB does while it runs a query), or the
interpreter may drop it (in a callback of its own); hence the note of what came, and the alarm.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

_GRACE_S: Final = 10.0
"""Longer than any command needs to put away what it has begun."""

_came: list[int] = []


def raise_in_command() -> None:
    """From now on raise KeyboardInterrupt, or SystemExit with code 143."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.unraisablehook = _without_stops


def exit_code() -> int | None:
    """Return 130 or 143 once a signal came, else None."""
    return 128 + _came[0] if _came else None


def _without_stops(unraisable: sys.UnraisableHookArgs) -> None:
    """Say nothing of a stop that the interpreter dropped: the alarm ends the command."""
    if not (_came and isinstance(unraisable.exc_value, KeyboardInterrupt | SystemExit)):
        sys.__unraisablehook__(unraisable)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    _came.append(number)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, _GRACE_S)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
