"""Headers that say how long to wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from chatlake.model.retry_after import (
    RateLimit,
    duration_s,
    rate_limit,
    retry_after_s,
    should_retry,
)
from tests.growth import grows_with_length

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "60"}, 60.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sunday, 01-Mar-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 99 Mar 2026 12:00:30 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, fractions, milliseconds and dates are read; nonsense is as good as absent."""
    assert retry_after_s(headers, now=NOW) == seconds


def test_a_date_is_read_against_the_answers_own_date() -> None:
    """A clock that is hours wrong makes no difference to a Retry-After that is a date."""
    headers = {
        "retry-after": "Sun, 01 Mar 2026 15:00:10 GMT",
        "date": "Sun, 01 Mar 2026 15:00:00 GMT",
    }
    assert retry_after_s(headers, now=NOW) == 10.0


def test_should_retry() -> None:
    """Only true and false say anything."""
    assert should_retry({"x-should-retry": "True"}) is True
    assert should_retry({"x-should-retry": "false"}) is False
    assert should_retry({"x-should-retry": "maybe"}) is None
    assert should_retry({}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("1m30.951s", 90.951),
        ("12", 12.0),
        ("-1", None),
        ("0", 0.0),
        ("1x", None),
        ("", None),
        (None, None),
    ],
)
def test_durations(text: str | None, seconds: float | None) -> None:
    """Go's durations and bare seconds are read; -1 and nonsense are not known."""
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))


def test_rate_limit_headers() -> None:
    """The three headers are read together, each may be missing, and -1 means not known."""
    headers = {
        "x-ratelimit-limit-requests": "3000",
        "x-ratelimit-remaining-requests": "2999",
        "x-ratelimit-reset-requests": "20ms",
    }
    assert rate_limit(headers) == RateLimit(3000, 2999, 0.02)
    assert rate_limit({"x-ratelimit-remaining-requests": "0"}) == RateLimit(None, 0, None)
    assert rate_limit({"x-ratelimit-remaining-requests": "-1"}) is None
    assert rate_limit({}) is None


def test_no_header_keeps_the_client_busy() -> None:
    """The time grows with the number of digits."""

    def seconds(size: int) -> float:
        began = time.thread_time()
        assert retry_after_s({"retry-after": "7" * size + "x"}, now=NOW) is None
        assert duration_s("7" * size + "x") is None
        return time.thread_time() - began

    assert grows_with_length(seconds, 100_000)
