"""What a signal means that comes while a run is ending already.

`timeout`, service managers and terminals often send the same signal twice within milliseconds: to
the process and to its group. That is one wish, and the run ends in order. Somebody who sends it
again after seconds has seen that it does not end, and wants it gone.
"""

from __future__ import annotations

import time
from enum import Enum
from typing import Final

SAME_WISH_S: Final = 5.0


class Heard(Enum):
    """The first wish to stop, the same once more, or one that it be at once."""

    FIRST = "first"
    AGAIN = "again"
    AT_ONCE = "at once"


class StopWish:
    """Remembers when the first signal came."""

    def __init__(self) -> None:
        self._came_at: float | None = None

    def heard(self) -> Heard:
        """Return what the signal means that has come just now."""
        now = time.monotonic()
        if self._came_at is None:
            self._came_at = now
            return Heard.FIRST
        return Heard.AT_ONCE if now - self._came_at > SAME_WISH_S else Heard.AGAIN
