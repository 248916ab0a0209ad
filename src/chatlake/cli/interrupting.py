"""Lets a signal end a query at once.

Python runs a signal's handler only when DuckDB returns to it, and a query may compute for hours
without that. The interpreter writes the signal's number to a descriptor at once, though. A thread
reads it there and tells DuckDB to stop; then the handler runs as usual.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_STOPS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupted_by_signals(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt`, from a thread, when SIGINT or SIGTERM comes inside the block.

    Outside of the main thread signals are not ours: nothing happens there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)  # the interpreter asks for it

    def watch() -> None:
        while numbers := reading.recv(64):
            if any(number in _STOPS for number in numbers):
                interrupt()

    thread = threading.Thread(target=watch, name="chatlake-interrupt", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()
        thread.join()
        reading.close()
