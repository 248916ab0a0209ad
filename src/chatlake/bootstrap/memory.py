"""How a long run uses memory: given back when it is free, and looked through seldom.

Bodies with images come and go by the megabyte. glibc raises its threshold for blocks of their own
with the first of them that is freed, and keeps the later ones in heaps that never shrink; Arrow's
own allocator keeps what it once had. Without both, the peak of a backup of 200 completions, half of
them with images of up to 8 MB, fell from 386 to 290 MB.

Rows that wait to be written are many objects without a cycle among them: the garbage collector
looked through them again and again, a sixth of a run's CPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator

import pyarrow as pa

_ALLOCATIONS = 100_000  # some 500 completions; what is in cycles by then is a few MB
_OWN_BLOCK_BYTES = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@contextlib.contextmanager
def sparing_memory() -> Iterator[None]:
    """Collect garbage after many more allocations than usual, and give large blocks back."""
    _give_large_blocks_back()
    before = gc.get_threshold()
    was_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not was_frozen:
            gc.unfreeze()


def _give_large_blocks_back() -> None:
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library has none of it
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK_BYTES)
            mallopt(_M_TRIM_THRESHOLD, _OWN_BLOCK_BYTES)
