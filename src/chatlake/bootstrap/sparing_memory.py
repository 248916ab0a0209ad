"""Settings for the memory of a long run: free memory is returned, and garbage collection is rare.

Bodies with images come and go by the megabyte. When the first large block is freed, glibc raises
its threshold for separate blocks and puts later ones into heaps that never shrink. Arrow's own
allocator also keeps what it once had. With both turned off, the peak of a backup of 200
completions, half of them with images of up to 8 MB, fell from 386 to 290 MB.

Rows that wait to be written are many objects without cycles. The garbage collector looked through
them again and again, which took a sixth of a run's CPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator

import pyarrow as pa

_ALLOCATIONS = 100_000  # some 500 completions; what is in cycles by then is a few MB
_OWN_BLOCK_BYTES = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


_lock = threading.Lock()
_users = 0
_set_back: list[Callable[[], None]] = []


@contextlib.contextmanager
def sparing_memory() -> Iterator[None]:
    """Collect garbage much less often than usual, and return large blocks to the system.

    Both apply to the whole process: if blocks of several threads overlap, the first one sets them
    and the last one restores them. Only glibc's setting is not restored, because glibc does not say
    what it was.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users  # noqa: PLW0603 - the process has one collector and one pool
    with _lock:
        if not _users:
            _spare()
        _users += 1


def _leave() -> None:
    global _users  # noqa: PLW0603
    with _lock:
        _users -= 1
        while not _users and _set_back:
            _set_back.pop()()


def _spare() -> None:
    pool = pa.default_memory_pool()
    _set_back.append(lambda: pa.set_memory_pool(pool))
    _give_large_blocks_back()
    before = gc.get_threshold()
    _set_back.append(lambda: gc.set_threshold(*before))
    if gc.get_freeze_count() == 0:
        _set_back.append(gc.unfreeze)
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, *before[1:])


def _give_large_blocks_back() -> None:
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # other C libraries lack this
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK_BYTES)
            mallopt(_M_TRIM_THRESHOLD, _OWN_BLOCK_BYTES)
