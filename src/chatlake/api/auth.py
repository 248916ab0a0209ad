"""The headers that every request of a source carries, the key among them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx

from chatlake import __version__
from chatlake.errors import ConfigurationError

_FIELD_VALUE = re.compile(r"[\x20-\x7e\t]*")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def request_headers(key: str, auth: str, extra: Mapping[str, str]) -> httpx.Headers:
    """Return the headers of every request.

    `auth`: "bearer" (`Authorization: Bearer KEY`) or "api-key" (`api-key: KEY`, Azure).
    `extra` comes last and may replace any of them. ConfigurationError if `auth` is unknown or a
    value cannot be sent as a header; the error never shows the value.
    """
    if auth not in {"bearer", "api-key"}:
        raise ConfigurationError(f"auth is {auth!r}, expected bearer or api-key")
    if not key or not _FIELD_VALUE.fullmatch(key) or key != key.strip():
        raise ConfigurationError(
            "api_key is empty, begins or ends with a space, or contains a line break or another "
            "character that is not allowed in an HTTP header"
        )
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": f"chatlake/{__version__}",
    }
    headers |= {"Authorization": f"Bearer {key}"} if auth == "bearer" else {"api-key": key}
    result = httpx.Headers(headers)
    for name, value in extra.items():
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise ConfigurationError(f"headers.{name} cannot be sent as an HTTP header")
        result[name] = value
    return result
