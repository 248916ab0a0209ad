"""Addresses of the three routes that chatlake reads: their paths and queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from chatlake.errors import ConfigurationError, RequestRejectedError

_LIST = "/chat/completions"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ID_LENGTH = 512


class Routes:
    """The routes of one source.

    `base_url`: with or without a path, a trailing slash or a query (`?api-version=…`); `query`:
    parameters that every request carries. A parameter of the single request takes precedence over
    both. ConfigurationError if `base_url` is not an http or https address, or contains credentials.
    """

    def __init__(self, base_url: str, query: Mapping[str, str]) -> None:
        try:
            parts = urlsplit(base_url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigurationError(f"base_url is not an address: {error}") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise ConfigurationError(
                f"base_url is {parts.scheme}://{parts.netloc.rpartition('@')[2]}, "
                "expected http://HOST… or https://HOST…"
            )
        if "@" in parts.netloc:
            raise ConfigurationError(
                "base_url holds a user name or password; put the key in api_key"
            )
        self.scheme = parts.scheme
        self.host = host
        self.port = port
        self._start = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._query = dict(parse_qsl(parts.query, keep_blank_values=True)) | dict(query)
        self._encoded = lru_cache(maxsize=8)(self._encode)  # nearly all requests have the same

    def url(self, route: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
        """Return the whole address of a route, everything percent-encoded (space as %20)."""
        query = self._encoded(tuple(parameters))
        return f"{self._start}{route}" + (f"?{query}" if query else "")

    def _encode(self, parameters: tuple[tuple[str, str], ...]) -> str:
        return urlencode(self._query | dict(parameters), quote_via=quote, safe="")


def list_route() -> str:
    """Return the path of the list of completions."""
    return _LIST


def completion_route(completion_id: str) -> str:
    """Return the path of one completion; raises RequestRejectedError for an impossible id."""
    return f"{_LIST}/{_segment(completion_id)}"


def messages_route(completion_id: str) -> str:
    """Return the path of a completion's messages; RequestRejectedError as above."""
    return f"{_LIST}/{_segment(completion_id)}/messages"


def list_parameters(
    after: str | None,
    limit: int,
    order: str,
    *,
    model: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> list[tuple[str, str]]:
    """Return the query of a page; `order` is always sent, since defaults differ by server."""
    parameters = [("limit", str(limit)), ("order", order)]
    if after is not None:
        parameters.append(("after", after))
    if model is not None:
        parameters.append(("model", model))
    parameters += [(f"metadata[{key}]", value) for key, value in (metadata or {}).items()]
    return parameters


def _segment(completion_id: str) -> str:
    """Encode an id as one path segment: no id can lead to another route or host."""
    if (
        completion_id in {"", ".", ".."}
        or len(completion_id) > _ID_LENGTH
        or _CONTROL.search(completion_id)
    ):
        raise RequestRejectedError(
            f"malformed id {completion_id[:80]!r}: no request was sent",
            hint="Correct the id.",
        )
    return quote(completion_id, safe="")
