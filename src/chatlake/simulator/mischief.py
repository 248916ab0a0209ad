"""Which request meets which fault, and the responses of faults."""

from __future__ import annotations

import email.utils
import math
import time
from collections import Counter
from dataclasses import dataclass, field

from chatlake.simulator import answers
from chatlake.simulator.answers import Answer, Headers
from chatlake.simulator.dice import Dice
from chatlake.simulator.faults import Faults

# In the order in which they are tried: the first match is used.
ANSWERING = (
    "error_401", "error_403", "error_500", "error_502", "error_503", "error_504", "error_429",
    "quota",
)  # fmt: skip
CONNECTION = ("reset", "hang")
SPOILING = ("truncated", "slow", "drip", "invalid_json", "wrong_types", "html_200")
PAGING = ("empty_page", "hollow_page", "repeated_page", "overlapping_page", "lost_cursor")
OF_ONE = ("other_id",)
NAMES = (*ANSWERING, *CONNECTION, *SPOILING, *PAGING, *OF_ONE)
_BEHIND_A_ROW = {"repeated_page", "overlapping_page", "lost_cursor"}

_UNAVAILABLE = ("slow_down", "server_is_overloaded", "service_unavailable_error")
_EMPTY_PAGE = b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":true}'
_WRONG_LIST = b'{"object":"list","data":{"0":null},"first_id":7,"last_id":[],"has_more":"yes"}'
_WRONG_OBJECT = b'{"object":"chat.completion","id":7,"created":"yesterday","choices":{}}'


@dataclass(slots=True)
class Mischief:
    """Draws the faults of a run. Counts only requests that the fault could meet."""

    faults: Faults
    dice: Dice
    counts: Counter[str] = field(default_factory=Counter)
    _eligible: Counter[str] = field(default_factory=Counter)
    _active: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._active = tuple(name for name in NAMES if getattr(self.faults, name))

    def draw(self, route: str, *, with_after: bool, follows_hollow: bool = False) -> str | None:
        """The fault that this request meets; None for none.

        `follows_hollow`: the previous page was a hollow one, so this one is real.
        """
        faults = self.faults
        if not self._active or (faults.routes and route not in faults.routes.split(",")):
            return None
        if faults.at_most is not None and self.counts.total() >= faults.at_most:
            return None
        for name in self._active:
            if name in PAGING and route not in {"list", "messages"}:
                continue
            if (name in _BEHIND_A_ROW and not with_after) or (
                name == "hollow_page" and follows_hollow
            ):
                continue
            if name in OF_ONE and route not in {"get", "messages"}:
                continue
            self._eligible[name] += 1
            if self._hits(name, getattr(faults, name), self._eligible[name]):
                self.counts[name] += 1
                return name
        return None

    def _hits(self, name: str, rate: float, number: int) -> bool:
        if rate >= 1:
            return number % round(rate) == 0
        return self.dice.share(name.encode(), number) < rate

    def is_missing(self, index: int) -> bool:
        """Whether the messages of completion `index` always return 404."""
        share = self.faults.missing
        return bool(share) and self.dice.share(b"missing", index) < share

    def in_outage(self, seconds: float) -> bool:
        """Whether the server is in its outage, `seconds` after the faults were set."""
        begin = self.faults.outage_after
        return begin <= seconds < begin + self.faults.outage_seconds

    def answer(self, name: str) -> Answer:
        """The answer of a fault of `ANSWERING`."""
        number = self.counts[name]
        if name == "error_503":
            return answers.unavailable(_UNAVAILABLE[number % 3], self.retry_after())
        if name == "error_429":
            code = "slow_down" if number % 3 == 0 else "rate_limit_exceeded"
            return answers.rate_limited(self.retry_after(), code)
        return {
            "error_401": answers.invalid_api_key,
            "error_403": answers.forbidden,
            "error_500": answers.server_error,
            "error_502": lambda: answers.edge_page(502, "Bad Gateway"),
            "error_504": lambda: answers.edge_page(504, "Gateway Time-out"),
            "quota": answers.out_of_quota,
        }[name]()

    def retry_after(self) -> Headers:
        """The header that says when to retry, in the chosen format."""
        seconds = self.faults.retry_after_seconds
        match self.faults.retry_after:
            case "seconds":
                return [(b"retry-after", b"%d" % math.ceil(seconds))]
            case "fraction":
                return [(b"retry-after", b"%.3f" % seconds)]
            case "ms":
                return [(b"retry-after-ms", b"%d" % round(seconds * 1000))]
            case "date":
                date = email.utils.formatdate(math.ceil(time.time() + seconds), usegmt=True)
                return [(b"retry-after", date.encode())]
            case _:
                return []


def spoiled(name: str, route: str, answer: Answer) -> Answer:
    """The response, spoiled by a fault of `SPOILING` or `PAGING`; errors stay unchanged."""
    if answer.status != 200:
        return answer
    if name == "invalid_json":
        return Answer(200, answer.body[:-1] + b",]", answer.headers)
    if name == "wrong_types":
        return Answer(200, _WRONG_LIST if route in {"list", "messages"} else _WRONG_OBJECT)
    if name == "html_200":
        return Answer(200, b"<html><body>Please log in</body></html>", [], answers.HTML)
    if name == "empty_page":
        return Answer(200, _EMPTY_PAGE)
    return answer
