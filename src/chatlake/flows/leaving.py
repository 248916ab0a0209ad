"""A process that ends even if a worker of its pool was killed.

Prefect's process pool passes logs and events through a queue of multiprocessing. A worker that is
killed while it writes there keeps the queue's lock forever. When this process ends, Python waits
for its own writer of that queue, which waits for the lock: a nightly run would never end, long
after everything is stored. So once a worker has died, the end is bounded.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Final

END_S: Final = 15.0
"""How long a process may take to end, in seconds; stopping Prefect's server takes one or two."""

_LOOK_S: Final = 0.1

_lock = threading.Lock()
_is_bounded = False
_code = 0


def ends_with(code: int) -> int:
    """Remember the exit code that a bounded end has, and return it. Without it, that is 0."""
    global _code  # noqa: PLW0603 - of the process
    _code = code
    return code


def bound_the_end(seconds: float = END_S) -> None:
    """Let this process end at most `seconds` after its last thread. More calls change nothing.

    That is the time for its handlers of `atexit`.
    """
    global _is_bounded  # noqa: PLW0603 - of the process
    with _lock:
        if _is_bounded:
            return
        _is_bounded = True
    # Started now: a process that is ending cannot start a thread.
    threading.Thread(target=_watch, args=(seconds,), name="chatlake-end", daemon=True).start()


def _watch(seconds: float) -> None:
    main = threading.main_thread()
    main.join()
    # What other threads still do has all the time that it takes: Python waits for them first.
    while any(not thread.daemon and thread is not main for thread in threading.enumerate()):
        time.sleep(_LOOK_S)
    time.sleep(seconds)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(_code)
