"""What the simulator holds and how it answers (`Scenario`); `Faults` says how it misbehaves.

Each field carries its help text, so that every command line shows the same words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from chatlake.errors import UsageError

RateHeaders = Literal["none", "retry-after", "x-ratelimit"]
Cursors = Literal["exact", "time", "opaque"]
HasMore = Literal["exact", "missing", "false", "true"]
Mix = Literal["plain", "readers"]
Created = Literal["seconds", "milliseconds", "float", "text", "iso", "missing"]

ROUTES = frozenset({"list", "get", "messages", "update", "delete", "create"})


@dataclass(frozen=True, slots=True)
class Scenario:
    """The stored completions and the account's habits; the same values give the same bytes.

    Completion i is a pure function of (`seed`, i) and the time fields: none is kept in memory.
    The rules are those of the section "Routes" and "Life of a stored completion" in api-behaviour.
    Raises UsageError for a value out of its range.
    """

    completions: int = field(default=1000, metadata={"help": "how many completions are stored"})
    seed: int = field(default=1, metadata={"help": "seed of everything generated"})
    days: float = field(default=3.0, metadata={"help": "days over which `created` is spread"})
    now: int | None = field(
        default=None,
        metadata={"help": "UTC epoch seconds at which the newest were created [time of the start]"},
    )
    api_key: str | None = field(
        default=None, metadata={"help": "the only accepted key; others get 401 [any key]"}
    )
    late_visibility: float = field(
        default=0.0,
        metadata={"help": "seconds until a new completion becomes visible, not in order"},
    )
    repeat_reply: bool = field(
        default=False, metadata={"help": "/messages ends with the reply, as with OGX"}
    )
    ogx: bool = field(
        default=False,
        metadata={"help": "behave as OGX: no metadata, seed or usage, unknown ids are 400"},
    )
    image_share: float = field(
        default=0.06, metadata={"help": "share of completions with images, 0 to 1"}
    )
    image_bytes: int = field(
        default=40_000, metadata={"help": "bytes of the biggest images (most are far smaller)"}
    )
    odd_text: bool = field(
        default=False,
        metadata={
            "help": "include texts with lone surrogates, NUL, right-to-left marks and the like"
        },
    )
    mix: Mix = field(
        default="plain",
        metadata={
            "help": "the kind of conversations: plain (short), or readers: longer ones that span "
            "several completions, with refusals, developer messages, links, audio, logprobs"
        },
    )
    list_status: int = field(
        default=200,
        metadata={"help": "status of every list request: 405 or 403 for accounts without it"},
    )
    lacks: str = field(
        default="",
        metadata={"help": "routes that the server lacks, separated by commas: list,get,messages"},
    )
    lacks_status: int = field(
        default=404, metadata={"help": "status of the routes that it lacks: 404, 405, 410 or 501"}
    )
    unknown_after: int = field(
        default=404,
        metadata={
            "help": "status when `after` names an unknown or deleted id: 404, 400, "
            "or 200 with an empty list"
        },
    )
    cursors: Cursors = field(
        default="exact",
        metadata={
            "help": "how the list reads `after`: exact continues after that row; time continues "
            "with the next second, as in older OGX; opaque accepts only the `last_id` of a "
            "page, which is not the id of a row"
        },
    )
    newest_first: bool = field(
        default=False, metadata={"help": "the list ignores `order` and is always newest first"}
    )
    max_page: int | None = field(
        default=None, metadata={"help": "the maximum rows on a page, whatever `limit` says [100]"}
    )
    strict_limit: bool = field(
        default=False, metadata={"help": "a `limit` above `max_page` gets a 400 instead"}
    )
    has_more: HasMore = field(
        default="exact",
        metadata={
            "help": "what a page says for has_more: exact, missing, always false, or always true "
            "(the last page is empty then, and repeats `after` as its last_id)"
        },
    )
    created: Created = field(
        default="seconds",
        metadata={
            "help": "how `created` is sent: seconds, milliseconds, float, text (seconds in a "
            "string), iso or missing"
        },
    )
    future_days: float = field(
        default=0.0, metadata={"help": "date one completion this many days in the future [none]"}
    )
    latency_ms: float = field(default=0.0, metadata={"help": "milliseconds before each response"})
    requests_per_minute: float | None = field(
        default=None, metadata={"help": "rate above which the response is 429 [no limit]"}
    )
    burst: int | None = field(
        default=None, metadata={"help": "requests that may arrive at once [one second's worth]"}
    )
    rate_headers: RateHeaders = field(
        default="none",
        metadata={"help": "headers that a limited account gets: none, retry-after or x-ratelimit"},
    )

    def __post_init__(self) -> None:
        check(
            completions=self.completions >= 0,
            days=self.days > 0,
            late_visibility=self.late_visibility >= 0,
            image_share=0 <= self.image_share <= 1,
            image_bytes=self.image_bytes > 0,
            mix=self.mix in get_args(Mix),
            latency_ms=self.latency_ms >= 0,
            requests_per_minute=self.requests_per_minute is None or self.requests_per_minute > 0,
            burst=self.burst is None or self.burst > 0,
            unknown_after=self.unknown_after in {200, 400, 404},
            list_status=200 <= self.list_status <= 599,
            lacks=not self.lacks or set(self.lacks.split(",")) <= ROUTES,
            lacks_status=400 <= self.lacks_status <= 599,
            max_page=self.max_page is None or self.max_page > 0,
            strict_limit=not self.strict_limit or self.max_page is not None,
            future_days=self.future_days >= 0,
        )


def check(**holds: bool) -> None:
    """Raise UsageError for the first option with an invalid value."""
    for name, good in holds.items():
        if not good:
            raise UsageError(f"The simulator's option {name} is out of its range.")
