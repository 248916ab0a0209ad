"""What a response's headers say about waiting: pure parsing, tolerant of every spelling.

A header that makes no sense is treated as absent: a backup must not fail over a gateway's typo.
Header mappings have lower-case keys or are case-insensitive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Possessive, so that a header of nothing but digits takes time that is linear in its length.
_NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)", re.ASCII)
_DURATION = re.compile(r"(?:\d++(?:\.\d*+)?(?:ns|us|µs|μs|ms|h|m|s))++", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|μs|ms|h|m|s)", re.ASCII)
_LIMIT_HEADERS = (
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The `x-ratelimit-*-requests` headers; each is None if its header is absent or invalid.

    `limit`, `remaining`: requests. `reset_s`: seconds until the limit is fully restored.
    """

    limit: int | None
    remaining: int | None
    reset_s: float | None


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return how many seconds the service asks to wait; None if it does not ask.

    `retry-after-ms` takes precedence over `retry-after`, which is a number of seconds (a fraction
    is tolerated) or an HTTP date (RFC 9110, 10.2.3). A date is compared with the response's own
    `date`, so that a wrong clock on either side does no harm; without one, with `now` (aware).
    Negative numbers and past dates mean 0.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    moment = _http_date(text)
    if moment is None:
        return None
    sent = _http_date(headers.get("date")) or now
    return max(0.0, (moment - sent).total_seconds())


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return the value of `x-should-retry`: True, False, or None if it is absent or invalid."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Return the request limits in the headers; None if there are none.

    Durations are written as in Go (`1s`, `6m0s`, `20ms`) or as bare seconds; Azure sends bare
    integers, and -1 for "not known".
    """
    if not any(name in headers for name in _LIMIT_HEADERS):
        return None  # the usual case, checked for every response
    limit = _count(headers.get("x-ratelimit-limit-requests"))
    remaining = _count(headers.get("x-ratelimit-remaining-requests"))
    reset_s = duration_s(headers.get("x-ratelimit-reset-requests"))
    if limit is None and remaining is None and reset_s is None:
        return None
    return RateLimit(limit, remaining, reset_s)


def duration_s(text: str | None) -> float | None:
    """Return a duration in seconds: `6m0s`, `20ms`, `1.5s`, bare seconds; None for any other."""
    if text is None:
        return None
    number = _number(text)
    if number is not None:
        return number if number >= 0 else None
    if not _DURATION.fullmatch(text.strip()):
        return None
    value = sum(float(n) * _UNITS_S[unit] for n, unit in _DURATION_PART.findall(text))
    return value if math.isfinite(value) else None


def _number(text: str | None) -> float | None:
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _count(text: str | None) -> int | None:
    value = _number(text)
    return None if value is None or value < 0 else int(value)


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
