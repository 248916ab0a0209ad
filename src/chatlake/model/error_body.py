"""From a refused answer to an error: which class, whether to ask again, what to tell the person.

    401                       AuthenticationError
    403                       PermissionDeniedError
    405                       MethodNotSupportedError
    404, 400 "not found"      CompletionNotFoundError      (on a route of one completion)
    429 quota, credit, spend  QuotaExhaustedError
    408 409 425 429 5xx       RetriesExhaustedError        asked again first
    3xx                       SourceUnreachableError       never followed: the key stays here
    other 4xx                 RequestRejectedError

`x-should-retry` decides over the table's "asked again", except for the account's own errors.
Messages are one line: route, status, the service's own words, request id; never the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from chatlake.errors import (
    AuthenticationError,
    ChatlakeError,
    CompletionNotFoundError,
    MethodNotSupportedError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RequestRejectedError,
    RetriesExhaustedError,
    SourceUnreachableError,
)
from chatlake.model.retry_after import should_retry

_RETRIED = frozenset({408, 409, 425, 429})
_QUOTA = re.compile(
    r"insufficient_quota|credit_balance_exhausted|\w+_spend_limit_exceeded|\w+_usage_limit_exceeded"
)
_NOT_FOUND = re.compile(r"not[ _]found|unknown|does(?: not|n't) exist|no such", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_MESSAGE_LENGTH = 300
_READ_LENGTH = 20_000
_SHORTEST_SECRET = 4  # less is no secret, and would garble every message
_TELLING = 8


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer other than 2xx: the error to raise, and whether the request is sent again first."""

    error: ChatlakeError
    retryable: bool


@dataclass(frozen=True, slots=True)
class _Words:
    """The service's own account of an error; empty where it gave none."""

    message: str = ""
    type: str = ""
    code: str = ""


def read_refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, route: str, secrets: tuple[str, ...]
) -> Refusal:
    """Decide what an answer other than 2xx means.

    `route`: the path that was asked for, for the message. `secrets`: texts that are struck out
    wherever the service repeats them.
    """
    words = _read_words(body)
    request_id = one_line(headers.get("x-request-id", ""), secrets, length=100)
    said = one_line(words.message, secrets)
    if 300 <= status < 400:
        said = "redirects to " + one_line(_host(headers.get("location", "")), secrets)
    message = describe(route, status, said, request_id)
    if 300 <= status < 400:
        hint = "Redirects are not followed, so that the key goes nowhere else. Check base_url."
        return Refusal(SourceUnreachableError(message, hint=hint), retryable=False)
    account = _account_error(status, words, message)
    if account is not None:
        return Refusal(account, retryable=False)
    if status == 404 or (status == 400 and _NOT_FOUND.search(f"{words.code} {words.message}")):
        return Refusal(CompletionNotFoundError(message, request_id=request_id), retryable=False)
    asked = should_retry(headers)
    retryable = (status in _RETRIED or status >= 500) if asked is None else asked
    if status in _RETRIED or status >= 500 or retryable:
        return Refusal(RetriesExhaustedError(message, request_id=request_id), retryable=retryable)
    return Refusal(RequestRejectedError(message, request_id=request_id), retryable=False)


def describe(route: str, status: int, said: str, request_id: str) -> str:
    """Return the one-line message of a failed request."""
    try:
        status_text = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        status_text = str(status)
    message = f"{route}: {status_text}"
    if said:
        message += f": {said}"
    if request_id:
        message += f" (request {request_id})"
    return message


def one_line(text: str, secrets: tuple[str, ...], *, length: int = _MESSAGE_LENGTH) -> str:
    """Return text as one printable line of bounded length, without the secrets."""
    text = _strike_out(text, secrets)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _strike_out(text: str, secrets: tuple[str, ...]) -> str:
    """Replace each secret, and the beginning of one that was cut off."""
    for secret in secrets:
        if len(secret) >= 2 * _TELLING:
            text = re.sub(re.escape(secret[:_TELLING]) + r"[^\s\"'<>,;]*", "[key]", text)
        elif len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[key]")
    return text


def _account_error(status: int, words: _Words, message: str) -> ChatlakeError | None:
    if status == 401:
        return AuthenticationError(message)
    if status == 403:
        return PermissionDeniedError(message)
    if status == 405:
        return MethodNotSupportedError(message)
    if status == 429 and (_QUOTA.fullmatch(words.type) or _QUOTA.fullmatch(words.code)):
        return QuotaExhaustedError(message)
    return None


def _read_words(body: bytes) -> _Words:
    """Read `{"error": {"message", "type", "code"}}`, its relatives, or HTML, or plain text."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Words(_plain(body[:_READ_LENGTH].decode("utf-8", "replace")))
    error = document
    if isinstance(document, dict):
        error = next((document[k] for k in ("error", "detail", "message") if document.get(k)), "")
    if isinstance(error, dict):
        message = next((error[k] for k in ("message", "detail") if error.get(k)), "")
        return _Words(_text(message), _text(error.get("type")), _text(error.get("code")))
    return _Words(_text(error))


def _plain(text: str) -> str:
    if "<" not in text:
        return text
    title = _TITLE.search(text)
    return title.group(1) if title and title.group(1).strip() else _TAGS.sub(" ", text)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _host(location: str) -> str:
    try:
        host = urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"the host {host}" if host else f"{location or 'nowhere'}"
