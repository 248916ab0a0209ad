"""What the simulator counted: for tests of pace and repetition, and for people."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

_SECONDS_KEPT = 600


@dataclass(slots=True)
class Statistics:
    """Counts since the start or the last reset. Admin requests are not counted.

    `per_second` holds (whole monotonic second, requests begun in it), newest last. A request
    without a response has status 0.
    """

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    rate_limited: int = 0
    active: int = 0
    max_concurrency: int = 0
    max_per_second: int = 0
    per_second: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_SECONDS_KEPT))

    def begin(self, route: str, now: float) -> None:
        """A request came in."""
        self.requests[route] += 1
        self.active += 1
        self.max_concurrency = max(self.max_concurrency, self.active)
        second = int(now)
        count = 1
        if self.per_second and self.per_second[-1][0] == second:
            count += self.per_second.pop()[1]
        self.per_second.append((second, count))
        self.max_per_second = max(self.max_per_second, count)

    def answer(self, status: int) -> None:
        """Its response is being sent, or it is broken off (0)."""
        self.statuses[status] += 1

    def end(self) -> None:
        """The response was sent, or the client has gone."""
        self.active -= 1

    def reset(self) -> None:
        """Counts from zero again; requests under way stay counted as active."""
        self.requests.clear()
        self.statuses.clear()
        self.per_second.clear()
        self.rate_limited = self.max_per_second = 0
        self.max_concurrency = self.active

    def report(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "total": self.requests.total(),
            "requests": dict(self.requests),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "rate_limited": self.rate_limited,
            "active": self.active,
            "max_concurrency": self.max_concurrency,
            "max_per_second": self.max_per_second,
            "per_second": [list(entry) for entry in self.per_second],
        }
