"""Whether the time that something takes grows with the length of a text, and not with its square."""

from __future__ import annotations

from collections.abc import Callable

_TRIES = 3


def grows_with_length(seconds: Callable[[int], float], length: int) -> bool:
    """Say whether four times `length` takes about four times as long, and not sixteen times.

    `seconds` measures the CPU time of one length. How fast the machine is does not matter. What
    else it does can only add time, so one good try of three is enough.
    """
    return any(seconds(4 * length) < 9 * seconds(length) + 0.2 for _ in range(_TRIES))
