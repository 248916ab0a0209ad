"""Reading a request: which route it is, and its query."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from chatlake.simulator.answers import Answer, invalid_value
from chatlake.simulator.world import Filters

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

# OpenAI; Azure without api-version; Azure with it (section "Azure OpenAI" in api-behaviour).
_VERSIONED = "/openai/chat/completions"
_BASES = ("/v1/chat/completions", "/openai/v1/chat/completions", _VERSIONED)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: `name` is list, get, messages, update, delete or create."""

    name: str
    completion_id: str = ""


_ROUTES: dict[str, dict[str, str]] = {
    "all": {"GET": "list", "POST": "create"},
    "one": {"GET": "get", "POST": "update", "DELETE": "delete"},
    "messages": {"GET": "messages"},
}


def route(method: str, path: str, query: bytes) -> Route | None:
    """The route of a request, None if there is none."""
    kind, completion_id = _place(path, query)
    name = _ROUTES.get(kind, {}).get(method)
    return Route(name, completion_id) if name else None


def methods(path: str, query: bytes) -> tuple[str, ...]:
    """The methods that a path has, without the one that is always refused."""
    kind, _ = _place(path, query)
    return tuple(method for method, name in _ROUTES.get(kind, {}).items() if name != "create")


def _place(path: str, query: bytes) -> tuple[str, str]:
    """What a path names, as in `_ROUTES`, empty if nothing; and the completion's id."""
    base = next((each for each in _BASES if path.startswith(each)), None)
    if base is None or (base == _VERSIONED and b"api-version=" not in query):
        return "", ""
    rest = path[len(base) :].rstrip("/")
    if not rest:
        return "all", ""
    completion_id, _, tail = rest[1:].partition("/")
    if not rest.startswith("/") or tail not in {"", "messages"}:
        return "", ""
    return tail or "one", completion_id


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a list or messages request asks for; `order` is empty when it was not given."""

    after: str | None
    limit: int
    order: str
    filters: Filters


def page(query: bytes, largest: int = MAX_LIMIT) -> PageQuery | Answer:
    """The query of a list, or a 400, for example for a `limit` above `largest`.

    Metadata filters are `metadata[key]=value`, brackets raw or percent-encoded.
    """
    after, limit, order, model = None, min(DEFAULT_LIMIT, largest), "", None
    metadata: list[tuple[str, str]] = []
    for key, value in parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True):
        if key == "after":
            after = value
        elif key == "limit":
            try:
                limit = int(value)
            except ValueError:
                return invalid_value("limit", f"Invalid 'limit': {value!r} is not an integer.")
            if not 1 <= limit <= largest:
                return _limit_error(limit, largest)
        elif key == "order":
            if value not in {"asc", "desc"}:
                return invalid_value("order", f"Invalid 'order': {value!r}, not 'asc' or 'desc'.")
            order = value
        elif key == "model":
            model = value
        elif key.startswith("metadata[") and key.endswith("]"):
            metadata.append((key[len("metadata[") : -1], value))
    return PageQuery(after, limit, order, Filters(model, tuple(metadata)))


def _limit_error(limit: int, largest: int) -> Answer:
    side, sign, bound = ("above", "<=", largest) if limit > largest else ("below", ">=", 1)
    word = "maximum" if side == "above" else "minimum"
    return invalid_value(
        "limit",
        f"Invalid 'limit': integer {side} {word} value. Expected a value {sign} {bound}, but got "
        f"{limit} instead.",
        f"integer_{side}_{word[:3]}_value",
    )
