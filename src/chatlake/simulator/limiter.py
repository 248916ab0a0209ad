"""The account's rate limit: a token bucket, and its response headers."""

from __future__ import annotations

import math

from chatlake.simulator.scenario import RateHeaders

Headers = list[tuple[bytes, bytes]]


class Bucket:
    """Tokens that refill with `per_minute`, at most `burst` of them. Times: monotonic seconds."""

    def __init__(self, per_minute: float, burst: int | None, now: float) -> None:
        self.per_minute = per_minute
        self.burst = burst or max(1, math.ceil(per_minute / 60))
        self._tokens = float(self.burst)
        self._at = now

    def take(self, now: float) -> float:
        """Takes a token: 0.0 if there was one, else the seconds until there will be."""
        gained = (now - self._at) * self.per_minute / 60
        self._tokens = min(self.burst, self._tokens + gained)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) * 60 / self.per_minute

    def headers(self, style: RateHeaders, wait: float) -> Headers:
        """The rate headers of a response; `wait` is what `take` returned.

        `x-ratelimit-reset-requests` is a Go duration (section "Errors" in api-behaviour).
        """
        told: Headers = []
        if style == "x-ratelimit":
            full = (self.burst - self._tokens) * 60 / self.per_minute
            told += [
                (b"x-ratelimit-limit-requests", b"%d" % math.ceil(self.per_minute)),
                (b"x-ratelimit-remaining-requests", b"%d" % int(self._tokens)),
                (b"x-ratelimit-reset-requests", b"%dms" % max(1, math.ceil(full * 1000))),
            ]
        if style != "none" and wait:
            told.append((b"retry-after", b"%d" % math.ceil(wait)))
        return told
