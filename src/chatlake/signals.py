"""Every handler and mask of signals that chatlake sets, as a few tools.

A program is stopped in one of three ways, depending on what it has to finish:

- `end_at_once`: it has nothing to finish. The process ends silently with 130 or 143.
- `raise_in_command`: it has to close what a command opened. An exception ends the command.
- `raising_stops`: a run has to commit what it fetched. An error of chatlake ends the run.

A second signal is judged by its time alone. `timeout`, service managers and terminals often send a
signal twice within milliseconds: to the process and to its group. That counts as one signal, and
the run still ends in order. Any signal later than `SAME_WISH_S` ends the process at once.

The program imports this module before it handles any signal, so nothing slow is imported here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType
    from typing import Final, NoReturn

    Handler = Callable[[int, FrameType | None], object]

SAME_WISH_S: Final = 5.0
_STOPS: Final = (signal.SIGINT, signal.SIGTERM)
_GRACE_S: Final = 10.0
"""Longer than any command needs to clean up."""

_came: list[int] = []


class Heard(Enum):
    """The first request to stop, the same one repeated, or a request to stop at once."""

    FIRST = "first"
    AGAIN = "again"
    AT_ONCE = "at once"


class StopWish:
    """Remembers when the first signal came."""

    def __init__(self) -> None:
        self._came_at: float | None = None

    def heard(self) -> Heard:
        """Return the meaning of the signal that has just arrived."""
        now = time.monotonic()
        if self._came_at is None:
            self._came_at = now
            return Heard.FIRST
        return Heard.AT_ONCE if now - self._came_at > SAME_WISH_S else Heard.AGAIN


def end_at_once(*, even_ignored: bool = False) -> None:
    """From now on SIGINT and SIGTERM end the process at once, with 130 or 143.

    A signal that the caller ignores stays ignored, unless `even_ignored`. In that case, signals
    that were held back are delivered now: the program that held them back has become this one.
    """
    for number in _STOPS:
        if even_ignored or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: os._exit(128 + number))
    if even_ignored:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def raise_in_command() -> None:
    """From now on SIGINT raises KeyboardInterrupt, and SIGTERM SystemExit with code 143.

    A library may turn that into its own error (DuckDB does while it runs a query), or the
    interpreter may drop it (in one of its callbacks). So `stopped_with` remembers what came, and an
    alarm ends the process if the command has not ended after 10 seconds.
    """
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop_command)
    sys.unraisablehook = _without_stops


def stopped_with() -> int | None:
    """Return 130 or 143 if the command has received a signal, else None."""
    return 128 + _came[0] if _came else None


def _stop_command(number: int, _frame: FrameType | None) -> NoReturn:
    _came.append(number)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, _GRACE_S)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _without_stops(unraisable: sys.UnraisableHookArgs) -> None:
    """Ignore a stop that the interpreter dropped: the alarm ends the command."""
    if not (_came and isinstance(unraisable.exc_value, KeyboardInterrupt | SystemExit)):
        sys.__unraisablehook__(unraisable)


@contextlib.contextmanager
def raising_stops(note: Callable[[int], None] = lambda _number: None) -> Iterator[None]:
    """Raise RunInterruptedError or RunTerminatedError at the first SIGINT or SIGTERM.

    `note` gets the signal's number before that. A repeated signal changes nothing, a later one ends
    the process at once (StopWish). Outside the main thread signals are not ours: nothing is set.
    """
    import threading  # noqa: PLC0415 - the program handles signals before it imports these

    from chatlake.errors import RunInterruptedError, RunTerminatedError  # noqa: PLC0415

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wish = StopWish()

    def stop(number: int, _frame: FrameType | None) -> None:
        heard = wish.heard()
        if heard is Heard.AT_ONCE:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if heard is Heard.FIRST:
            note(number)
            error = RunTerminatedError if number == signal.SIGTERM else RunInterruptedError
            raise error("stopped by a signal")

    with _handled(stop, *_STOPS):
        yield


def raise_terminated() -> None:
    """From now on SIGTERM raises RunTerminatedError."""
    signal.signal(signal.SIGTERM, _terminated())


@contextlib.contextmanager
def raising_terminated() -> Iterator[None]:
    """Raise RunTerminatedError at SIGTERM and SIGHUP inside the block."""
    with _handled(_terminated(), signal.SIGTERM, signal.SIGHUP):
        yield


def _terminated() -> Handler:
    from chatlake.errors import RunTerminatedError  # noqa: PLC0415 - not inside the handler

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise RunTerminatedError("terminated")

    return stop


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt inside the block instead of ending the command."""
    with _handled(signal.default_int_handler, signal.SIGINT):
        yield


@contextlib.contextmanager
def telling_of_stops(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` from a thread as soon as SIGINT or SIGTERM comes inside the block.

    Python runs a handler only when a library returns to it, and a query may compute for hours
    without that. But the interpreter writes the signal's number to a descriptor at once, and a
    thread reads it there. The handler runs as usual, once the library has stopped. If the block has
    not ended after 10 seconds, the process ends, because nothing else could end it. Outside the
    main thread signals are not ours: `tell` is not called.
    """
    import socket  # noqa: PLC0415 - the program handles signals before it imports these
    import threading  # noqa: PLC0415

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)  # `set_wakeup_fd` requires it

    alarms: list[threading.Timer] = []

    def watch() -> None:
        while numbers := reading.recv(64):
            for number in numbers:
                if number in _STOPS and not alarms:
                    alarm = threading.Timer(_GRACE_S, os._exit, [128 + number])
                    alarm.daemon = True
                    alarm.start()  # before `tell`, which may itself never return
                    alarms.append(alarm)
                    tell()

    thread = threading.Thread(target=watch, name="chatlake-signals", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()
        thread.join()
        for alarm in alarms:
            alarm.cancel()
        reading.close()


def hold_back_stops() -> None:
    """Hold back SIGINT and SIGTERM, also from the program that this process becomes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)


@contextlib.contextmanager
def held_back(*numbers: int) -> Iterator[None]:
    """Hold back these signals inside the block; they are delivered at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pass_on(process: int, signals: Mapping[signal.Signals, signal.Signals]) -> None:
    """From now on, pass on a received signal (key) as another (value) to a process.

    A repeated signal changes nothing, a later one kills the process and its group (StopWish).
    """
    wish = StopWish()

    def forward(number: int, _frame: FrameType | None) -> None:
        heard = wish.heard()
        with contextlib.suppress(ProcessLookupError):
            if heard is Heard.FIRST:
                os.kill(process, signals[signal.Signals(number)])
            elif heard is Heard.AT_ONCE:
                os.killpg(process, signal.SIGKILL)

    for number in signals:
        signal.signal(number, forward)


@contextlib.contextmanager
def _handled(handler: Handler, *numbers: int) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
