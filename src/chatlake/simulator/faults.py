"""How the simulator misbehaves (`Faults`): by name, at a rate, or for a share of the ids."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from chatlake.simulator.malformed import MalformedAs
from chatlake.simulator.refusals import RefusedWith
from chatlake.simulator.scenario import ROUTES, check

RetryAfter = Literal["none", "seconds", "fraction", "ms", "date"]


def _rate(text: str) -> float:
    return field(default=0.0, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Faults:
    """Misbehaviour by name. A rate below 1 is a probability, from 1 on it means every Nth request.

    So 1 is every request, 3 every third, 0.1 about a tenth. With a seed, the same order of requests
    meets the same faults.
    """

    error_401: float = _rate("401 invalid_api_key during a run (rate)")
    error_403: float = _rate("403, a permission is missing (rate)")
    error_500: float = _rate("500 server_error as JSON (rate)")
    error_502: float = _rate("502 with an HTML body from the edge (rate)")
    error_503: float = _rate("503 slow_down, server_is_overloaded, service_unavailable (rate)")
    error_504: float = _rate("504 with an HTML body from the edge (rate)")
    error_429: float = _rate("429 rate_limit_exceeded or slow_down (rate)")
    quota: float = _rate("429 insufficient_quota, which retrying does not help (rate)")
    reset: float = _rate("connection reset before the response (rate)")
    truncated: float = _rate("the connection closes after half of the body (rate)")
    slow: float = _rate("sends half of the body, waits `slow_seconds`, sends the rest (rate)")
    drip: float = _rate("sends the body byte by byte, with `slow_seconds` after each (rate)")
    hang: float = _rate("no response until the client disconnects (rate)")
    invalid_json: float = _rate("200 with a body that is not JSON (rate)")
    wrong_types: float = _rate("200 with JSON whose fields have wrong types (rate)")
    html_200: float = _rate("200 with an HTML page, as from a captive proxy (rate)")
    repeated_page: float = _rate("`after` is ignored, and the first page is sent again (rate)")
    overlapping_page: float = _rate("a page begins with items of the previous page (rate)")
    empty_page: float = _rate("has_more is true on an empty page (rate)")
    hollow_page: float = _rate("an empty page whose has_more and last_id point to more (rate)")
    lost_cursor: float = _rate("`after` is unknown, as if its row was just deleted (rate)")
    other_id: float = _rate("get and messages return the oldest, whatever the id (rate)")
    missing: float = _rate("share of ids whose messages always return 404, 0 to 1")
    refused_ids: float = _rate("share of ids that are always refused, 0 to 1")
    refused_with: RefusedWith = field(
        default="mixed",
        metadata={
            "help": "how these ids are refused: a status (429 is a lasting limit), quota, reset, "
            "hang, or mixed: each in its own way, but never quota or hang"
        },
    )
    refused_routes: str = field(
        default="messages",
        metadata={"help": "routes that refuse these ids, separated by commas: get,messages"},
    )
    shrunk: float = _rate("share of edited completions that have one message left, or none, 0 to 1")
    malformed_rows: float = _rate("share of completions that are malformed, 0 to 1")
    malformed_messages: float = _rate(
        "share of completions whose first message is malformed, 0 to 1"
    )
    malformed_as: MalformedAs = field(
        default="mixed",
        metadata={"help": "how rows and messages are malformed; mixed: each in its own way"},
    )
    dies_after: int | None = field(
        default=None, metadata={"help": "the server dies after this many requests [never]"}
    )
    outage_after: float = field(
        default=0.0, metadata={"help": "seconds from the start to the outage"}
    )
    outage_seconds: float = field(
        default=0.0,
        metadata={"help": "length of the outage, in which every response is 503 [none]"},
    )
    retry_after: RetryAfter = field(
        default="none",
        metadata={
            "help": "retry-after of error_429 and error_503: none, seconds, fraction, ms, date"
        },
    )
    retry_after_seconds: float = field(
        default=1.0, metadata={"help": "the seconds that retry-after asks for"}
    )
    slow_seconds: float = field(default=1.0, metadata={"help": "the pause of `slow` and of `drip`"})
    routes: str = field(
        default="",
        metadata={"help": "routes that have faults, separated by commas: list,get,messages [all]"},
    )
    at_most: int | None = field(
        default=None, metadata={"help": "no more faults after this many [no end]"}
    )

    def __post_init__(self) -> None:
        rates = {name: getattr(self, name) >= 0 for name in RATES}
        check(
            **rates,
            missing=0 <= self.missing <= 1,
            refused_ids=0 <= self.refused_ids <= 1,
            refused_routes=set(self.refused_routes.split(",")) <= {"get", "messages"},
            shrunk=0 <= self.shrunk <= 1,
            malformed_rows=0 <= self.malformed_rows <= 1,
            malformed_messages=0 <= self.malformed_messages <= 1,
            routes=not self.routes or set(self.routes.split(",")) <= ROUTES,
        )


RATES = tuple(spec.name for spec in fields(Faults) if spec.metadata["help"].endswith("(rate)"))
