"""What the simulator holds and how it answers (`Scenario`), and how it misbehaves (`Faults`).

Each field carries its help text, so that every command line shows the same words.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from chatlake.errors import UsageError

RateHeaders = Literal["none", "retry-after", "x-ratelimit"]
RetryAfter = Literal["none", "seconds", "fraction", "ms", "date"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The stored completions and the account's habits; the same values give the same bytes.

    Completion i is a pure function of (`seed`, i) and the time fields: none is kept in memory.
    The rules are those of the section "Routes" and "Life of a stored completion" in api-behaviour.
    Raises UsageError for a value out of its range.
    """

    completions: int = field(
        default=1000, metadata={"help": "how many stored completions there are"}
    )
    seed: int = field(default=1, metadata={"help": "seed of everything generated"})
    days: float = field(default=3.0, metadata={"help": "days over which `created` is spread"})
    now: int | None = field(
        default=None,
        metadata={"help": "UTC epoch seconds at which the newest were created [time of the start]"},
    )
    api_key: str | None = field(
        default=None, metadata={"help": "the only key accepted, others get 401 [any key]"}
    )
    late_visibility: float = field(
        default=0.0,
        metadata={"help": "seconds within which a new completion becomes visible, not in order"},
    )
    repeat_reply: bool = field(
        default=False, metadata={"help": "/messages ends with the reply, as OGX answers"}
    )
    ogx: bool = field(
        default=False,
        metadata={"help": "answer as OGX does: no metadata, seed or usage, unknown ids are 400"},
    )
    image_share: float = field(
        default=0.06, metadata={"help": "share of completions with images, 0 to 1"}
    )
    image_bytes: int = field(
        default=40_000, metadata={"help": "bytes of the biggest images (most are far smaller)"}
    )
    odd_text: bool = field(
        default=False,
        metadata={"help": "some texts with lone surrogates, NUL, right-to-left and the like"},
    )
    list_status: int = field(
        default=200, metadata={"help": "status of every list: 405 or 403 for accounts without it"}
    )
    unknown_after: int = field(
        default=404, metadata={"help": "status when `after` names an unknown or deleted id"}
    )
    latency_ms: float = field(default=0.0, metadata={"help": "milliseconds before each answer"})
    requests_per_minute: float | None = field(
        default=None, metadata={"help": "pace above which 429 is answered [no limit]"}
    )
    burst: int | None = field(
        default=None, metadata={"help": "requests that may come at once [one second's worth]"}
    )
    rate_headers: RateHeaders = field(
        default="none",
        metadata={"help": "what a limited account is told: none, retry-after or x-ratelimit"},
    )

    def __post_init__(self) -> None:
        _check(
            completions=self.completions >= 0,
            days=self.days > 0,
            late_visibility=self.late_visibility >= 0,
            image_share=0 <= self.image_share <= 1,
            image_bytes=self.image_bytes > 0,
            latency_ms=self.latency_ms >= 0,
            requests_per_minute=self.requests_per_minute is None or self.requests_per_minute > 0,
            burst=self.burst is None or self.burst > 0,
            unknown_after=self.unknown_after in {400, 404},
            list_status=200 <= self.list_status <= 599,
        )


def _check(**holds: bool) -> None:
    for name, good in holds.items():
        if not good:
            raise UsageError(f"The simulator's option {name} is out of its range.")


def _rate(text: str) -> float:
    return field(default=0.0, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Faults:
    """Misbehaviour by name. A rate below 1 is a probability, from 1 on it means every Nth request.

    So 1 is every request, 3 every third, 0.1 about a tenth: seeded, the same run gives the same
    faults for the same order of requests.
    """

    error_401: float = _rate("401 invalid_api_key in the middle of it (rate)")
    error_403: float = _rate("403, a permission is missing (rate)")
    error_500: float = _rate("500 server_error as JSON (rate)")
    error_502: float = _rate("502 with an HTML body from the edge (rate)")
    error_503: float = _rate("503 slow_down, server_is_overloaded, service_unavailable (rate)")
    error_504: float = _rate("504 with an HTML body from the edge (rate)")
    error_429: float = _rate("429 rate_limit_exceeded or slow_down (rate)")
    quota: float = _rate("429 insufficient_quota, which no retry helps (rate)")
    reset: float = _rate("connection reset before the answer (rate)")
    truncated: float = _rate("body ends half way, connection closed (rate)")
    slow: float = _rate("half of the body, a pause of `slow_seconds`, the rest (rate)")
    drip: float = _rate("the body a byte at a time, `slow_seconds` after each (rate)")
    hang: float = _rate("no answer until the client goes away (rate)")
    invalid_json: float = _rate("200 with a body that is not JSON (rate)")
    wrong_types: float = _rate("200 with JSON whose fields have wrong types (rate)")
    html_200: float = _rate("200 with an HTML page, as a captive proxy answers (rate)")
    repeated_page: float = _rate("`after` is ignored: the first page again (rate)")
    overlapping_page: float = _rate("a page begins with items of the page before (rate)")
    empty_page: float = _rate("has_more is true on an empty page (rate)")
    missing: float = field(
        default=0.0,
        metadata={"help": "share of ids whose messages answer 404 for ever, 0 to 1"},
    )
    dies_after: int | None = field(
        default=None, metadata={"help": "requests after which the server is gone [never]"}
    )
    outage_after: float = field(
        default=0.0, metadata={"help": "seconds from the start until the outage"}
    )
    outage_seconds: float = field(
        default=0.0, metadata={"help": "length of an outage in which all is 503 [none]"}
    )
    retry_after: RetryAfter = field(
        default="none",
        metadata={"help": "header of error_429 and error_503: none, seconds, fraction, ms, date"},
    )
    retry_after_seconds: float = field(
        default=1.0, metadata={"help": "the time that this header names"}
    )
    slow_seconds: float = field(default=1.0, metadata={"help": "the pause of `slow` and of `drip`"})
    routes: str = field(
        default="", metadata={"help": "only these routes, with commas: list,get,messages [all]"}
    )
    at_most: int | None = field(
        default=None, metadata={"help": "how many faults in all, then none [no end]"}
    )

    def __post_init__(self) -> None:
        rates = {name: getattr(self, name) >= 0 for name in RATES}
        _check(
            **rates,
            missing=0 <= self.missing <= 1,
            routes=not self.routes or set(self.routes.split(",")) <= ROUTES,
        )


ROUTES = frozenset({"list", "get", "messages", "update", "delete", "create"})
RATES = tuple(spec.name for spec in fields(Faults) if spec.metadata["help"].endswith("(rate)"))
