"""Work that a cancellation does not interrupt: a commit that has begun is always finished."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end, however often the waiting task is cancelled in the meantime.

    The cancellation continues afterwards. An error of `work` takes precedence: `is_cancelled` then
    tells the caller of the cancellation.
    """
    task = asyncio.ensure_future(work)
    interruption: asyncio.CancelledError | None = None
    while not task.done():
        try:
            # Unlike `shield`, this can be taken up again: the task continues and is not detached.
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            interruption = interruption or error
    result = task.result()
    if interruption is not None:
        raise interruption
    return result


def is_cancelled() -> bool:
    """Say whether the running task was cancelled, even if another error hid that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
