"""How far the ascending list is finished without a gap."""

from __future__ import annotations

from collections import deque


class FinishedPrefix:
    """Completions are listed in order and finish in any order; the cursor follows the prefix."""

    def __init__(self) -> None:
        self.last: tuple[str, int] | None = None
        self._next_sequence = 0
        self._waiting: deque[tuple[int, str, int, bool]] = deque()
        self._finished: set[int] = set()

    def add(self, completion_id: str, created: int, *, is_place: bool = True) -> int:
        """Add the next completion of the list; returns its sequence number.

        `is_place`: whether a run may continue from it.
        """
        sequence = self._next_sequence
        self._next_sequence += 1
        self._waiting.append((sequence, completion_id, created, is_place))
        return sequence

    def finish(self, sequence: int) -> None:
        """Mark a completion as stored, or as a named failure."""
        self._finished.add(sequence)

    def advance(self) -> tuple[str, int] | None:
        """Return (id, created) of the last completion of the finished prefix, None at the start."""
        while self._waiting and self._waiting[0][0] in self._finished:
            sequence, completion_id, created, is_place = self._waiting.popleft()
            self._finished.discard(sequence)
            if is_place:
                self.last = (completion_id, created)
        return self.last
