"""How the rate grows between two refusals: three curves, for three degrees of knowledge.

    free        no limit was met yet: the rate grows with every answer
    searching   a limit was met but not measured: the rate doubles at fixed intervals
    tuned       a limit was measured: the rate begins a margin below it, rises to it, stays near it,
                and then probes above it with growing steps, until the next refusal measures again
                (the cubic curve of RFC 9438, applied to the rate instead of the window)

Only time in which requests were granted counts for growth. So an idle source does not raise the
rate to a value that was never tried.
"""

from __future__ import annotations

_START = 400.0
_FREE_GROWTH = 2.0  # requests/s more for each answer
_LOWEST = 0.5
_SMALLEST_MARGIN, _LARGEST_MARGIN = 0.02, 0.25
_FIRST_DOUBT = 0.05
_STEADY_S = 5.0  # from the margin to the limit; as long again to the margin above it
_LONGEST_STEADY_S = 30.0
_STEADY_REQUESTS = 150.0
_PAUSES_PER_STEADY = 25.0  # a probe comes after twice that, so pauses take a fiftieth of the time
_SHORTEST_PLATEAU_S = 1.0


class RateCurve:
    """The rate in requests/s, and how it grows. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.rate = _START
        self._accepted_at = float("-inf")
        self._grown_s = 0.0
        self._base = _START
        self._doubling_s = 0.0
        self._limit = 0.0
        self._margin = 0.0
        self._plateau_s = 0.0

    @property
    def is_searching(self) -> bool:
        """Whether a limit was met but not yet measured."""
        return self._doubling_s > 0

    @property
    def is_tuned(self) -> bool:
        """Whether a limit was measured."""
        return self._limit > 0 and not self.is_searching

    def set_free(self, rate: float) -> None:
        """Continue from `rate` as if no limit had been met."""
        self.rate = rate
        self._doubling_s = self._limit = 0.0

    def search(self, rate: float, *, doubling_s: float) -> None:
        """Continue from `rate`, doubling."""
        self.rate = self._base = max(_LOWEST, rate)
        self._doubling_s = doubling_s
        self._grown_s = 0.0

    def tune(self, limit: float, *, granted: int, pause_s: float | None = None) -> None:
        """Continue near a limit that `granted` requests measured: the fewer, the wider the margin.

        Two measures are uncertain and so probed sooner: the first one, which may miss what was lost
        while searching (a full bucket), and one that was exceeded by far before the refusal came.
        `pause_s`: the pause that the service asked for; the longer it is, the more rarely the limit
        is probed.
        """
        doubt = _FIRST_DOUBT if self.is_searching else (self.rate / limit - 1) / 4
        self._limit = limit
        self._margin = min(_LARGEST_MARGIN, max(_SMALLEST_MARGIN, 2 / granted, doubt))
        steady_s = max(_STEADY_S, min(_LONGEST_STEADY_S, _STEADY_REQUESTS / limit))
        if pause_s is not None:
            steady_s = max(2 * _STEADY_S, steady_s, _PAUSES_PER_STEADY * min(pause_s, 2.0))
        self._plateau_s = max(_SHORTEST_PLATEAU_S, steady_s * _SMALLEST_MARGIN / self._margin)
        self._doubling_s = self._grown_s = 0.0
        self.rate = max(_LOWEST, limit * (1 - self._margin))

    def grow(self, now: float) -> None:
        """Grow for a request that was granted."""
        step_s = min(now - self._accepted_at, 2 / self.rate)
        self._accepted_at = now
        if self.is_searching:
            self._grown_s += min(step_s, self._doubling_s)
            self.rate = self._base * 2 ** min(self._grown_s / self._doubling_s, 40.0)
        elif self._limit:
            self._grown_s += step_s
            swing = self._grown_s / self._plateau_s - 1
            self.rate = max(_LOWEST, self._limit * (1 + self._margin * swing**3))
        else:
            self.rate += _FREE_GROWTH
