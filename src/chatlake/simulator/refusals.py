"""How one id is refused while the others are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, get_args

from chatlake.simulator import answers
from chatlake.simulator.answers import Answer

RefusedWith = Literal[
    "302", "401", "403", "404", "405", "410", "429", "quota", "500", "501", "reset", "hang", "mixed"
]
MIXED: Final = ("302", "401", "403", "404", "405", "410", "429", "500", "501", "reset")
WAYS: Final = tuple(way for way in get_args(RefusedWith) if way != "mixed")
_PLAIN: Final[dict[str, Callable[[], Answer]]] = {
    "401": answers.invalid_api_key,
    "403": answers.forbidden,
    "429": lambda: answers.rate_limited([]),
    "quota": answers.out_of_quota,
    "500": answers.server_error,
}


def refusal(way: str, method: str, path: str) -> Answer:
    """The response for a way of `WAYS`; `reset` and `hang` have none."""
    if way == "302":
        elsewhere = (b"location", path.encode("utf-8", "replace") + b"/elsewhere")
        return Answer(302, b"", [elsewhere])
    if way == "404":
        return answers.not_found(path.removesuffix("/messages").rpartition("/")[2])
    if way in _PLAIN:
        return _PLAIN[way]()
    return lacking(int(way), method, path)


def lacking(status: int, method: str, path: str) -> Answer:
    """The answer of a server to a route that it does not have, or has no longer."""
    match status:
        case 404:
            return answers.unknown_url(method, path)
        case 405:
            return answers.method_not_supported()
        case 410:
            return answers.error(410, "Stored completions were retired.", "gone")
        case 501:
            return answers.error(501, "No store is configured.", None, kind="server_error")
        case _:
            return answers.error(status, "This route is not available.", None)


def checked_way(way: object) -> str:
    """`way`, a status or a word, as one of `WAYS`; ValueError lists the valid ones."""
    if str(way) not in WAYS:
        raise ValueError(f"{way!r} is not one of {', '.join(WAYS)}")
    return str(way)
