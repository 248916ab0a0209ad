"""From a refused response to an error: its class, whether to ask again, what to say about it.

                              the list                  one completion, or its messages
    401                       AuthenticationError       the same
    403                       PermissionDeniedError     the same
    405                       MethodNotSupportedError   the same
    404, 400 "not found"      CompletionNotFoundError   the same
    410                       RetiredError              CompletionNotFoundError
    501                       NoStoreError              RequestRejectedError
    3xx (never followed)      SourceUnreachableError    RequestRejectedError
    429 quota, credit, spend  QuotaExhaustedError       the same
    408 409 425 429 5xx       RetriesExhaustedError     the same
    other 4xx                 RequestRejectedError      the same

A redirect is never followed, so that the key goes to no other host. A RetriesExhaustedError is
raised when further attempts have failed, too. The header `x-should-retry` overrides this: `false`
forbids these attempts, `true` turns a RequestRejectedError into a RetriesExhaustedError. Messages
are one line: route, status, the service's own words, request id; never a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from chatlake.errors import (
    AuthenticationError,
    ChatlakeError,
    CompletionError,
    CompletionNotFoundError,
    MethodNotSupportedError,
    NoStoreError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RequestRejectedError,
    RetiredError,
    RetriesExhaustedError,
    SourceUnreachableError,
)
from chatlake.model.outside_text import one_line, request_id
from chatlake.model.retry_after import should_retry

_OF_ACCOUNT: Final[dict[int, type[ChatlakeError]]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    405: MethodNotSupportedError,
}
_OF_LIST: Final[dict[int, type[ChatlakeError]]] = {410: RetiredError, 501: NoStoreError}
_RETRIED = frozenset({408, 409, 425, 429})
_GONE = frozenset({404, 410})
_NOT_IMPLEMENTED = 501
_QUOTA = re.compile(
    r"insufficient_quota|credit_balance_exhausted|\w+_spend_limit_exceeded|\w+_usage_limit_exceeded"
)
_NOT_FOUND = re.compile(r"not[ _]found|unknown|does(?: not|n't) exist|no such", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_MESSAGE_LENGTH = 300
_READ_LENGTH = 20_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response other than 2xx: the error to raise, and whether to try again first."""

    error: ChatlakeError
    retryable: bool


@dataclass(frozen=True, slots=True)
class _Words:
    """The service's own description of an error; empty if it gave none."""

    message: str = ""
    type: str = ""
    code: str = ""


def read_refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    route: str,
    completion_id: str | None = None,
) -> Refusal:
    """Decide what a response other than 2xx means.

    `route`: the requested path, for the message. `completion_id`: the requested completion; None
    for the list.
    """
    words = _read_words(body)
    request = request_id(headers.get("x-request-id", ""))
    said = one_line(words.message, length=_MESSAGE_LENGTH)
    if 300 <= status < 400:
        said = "redirects to " + one_line(
            _host(headers.get("location", "")), length=_MESSAGE_LENGTH
        )
    message = describe(route, status, said, request)
    whole = _whole_source_error(status, words, message, request, of_list=completion_id is None)
    if whole is not None:
        return Refusal(whole, retryable=False)
    # A redirect is a login page or a moved host, and never shows that a route is missing.
    is_redirect = 300 <= status < 400
    of_route = completion_id is not None and not is_redirect and not _names(words, completion_id)

    def as_error(kind: type[CompletionError]) -> CompletionError:
        return kind(message, request_id=request, status=status, of_route=of_route)

    is_unknown = status == 400 and _NOT_FOUND.search(f"{words.code} {words.message}")
    if status in _GONE or is_unknown:
        return Refusal(as_error(CompletionNotFoundError), retryable=False)
    asked = should_retry(headers)
    is_passing = (status in _RETRIED or status >= 500) and status != _NOT_IMPLEMENTED
    retryable = is_passing if asked is None else asked
    if is_passing or retryable:
        return Refusal(as_error(RetriesExhaustedError), retryable=retryable)
    return Refusal(as_error(RequestRejectedError), retryable=False)


def describe(route: str, status: int, said: str, request: str) -> str:
    """Return the one-line message of a failed request."""
    try:
        status_text = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        status_text = str(status)
    message = f"{route}: {status_text}"
    if said:
        message += f": {said}"
    if request:
        message += f" (request {request})"
    return one_line(message)


def _whole_source_error(
    status: int, words: _Words, message: str, request: str, *, of_list: bool
) -> ChatlakeError | None:
    """Return the error of a response about the account, or about the list itself."""
    kind = _OF_ACCOUNT.get(status) or (_OF_LIST.get(status) if of_list else None)
    if kind is not None:
        return kind(message, request_id=request)
    if status == 429 and (_QUOTA.fullmatch(words.type) or _QUOTA.fullmatch(words.code)):
        return QuotaExhaustedError(message, request_id=request)
    if of_list and 300 <= status < 400:
        hint = (
            "chatlake does not follow redirects, so that the key goes nowhere else. Check base_url."
        )
        return SourceUnreachableError(message, hint=hint, request_id=request)
    return None


def _names(words: _Words, completion_id: str) -> bool:
    """Whether the response is about the completion, not about the requested address."""
    return completion_id in words.message and "/" not in words.message


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
