"""What a response means: a value, another attempt, or a final error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from chatlake.api.retry import AskAgainError, Kind
from chatlake.api.transport import ExchangeError, ExchangeFailure, Response
from chatlake.errors import (
    CompletionNotFoundError,
    InvalidResponseError,
    RetriesExhaustedError,
    SourceUnreachableError,
    TooLargeError,
    UnsettledError,
)
from chatlake.model.error_body import describe, read_refusal
from chatlake.model.outside_text import one_line
from chatlake.model.pace import RequestOutcome
from chatlake.model.redaction.rules import Redaction
from chatlake.model.retry_after import retry_after_s

T = TypeVar("T")


def read_answer(
    answer: Response,
    read: Callable[[bytes], T],
    route: str,
    completion_id: str | None,
    *,
    settle: bool,
    redaction: Redaction | None = None,
) -> T:
    """Return what `read` makes of the body, or raise the error that the response means.

    AskAgainError if the request may be sent again, another API error if not. `settle`: whether a
    404 may only mean that the completion is not visible yet. `redaction`: applied to the service's
    own words in an error.
    """
    if not 200 <= answer.status < 300:
        raise _refusal(answer, route, completion_id, redaction, settle=settle)
    if not answer.body or answer.body.isspace():
        message = describe(route, answer.status, "an empty response", answer.request_id)
        empty = InvalidResponseError(message, request_id=answer.request_id)
        raise AskAgainError(Kind.UNREADABLE, empty)
    try:
        return read(answer.body)
    except InvalidResponseError as error:
        kind = type(error)
        message = one_line(f"{route}: {error.message}")
    # Outside of `except`, because the cause may quote the body with secrets in it.
    if issubclass(kind, TooLargeError):
        raise TooLargeError(message, request_id=answer.request_id)
    if issubclass(kind, UnsettledError):
        unsettled = UnsettledError(message, request_id=answer.request_id, of_route=True)
        raise AskAgainError(Kind.UNSETTLED, unsettled)
    unreadable = InvalidResponseError(message, request_id=answer.request_id)
    raise AskAgainError(Kind.UNREADABLE, unreadable)


def _refusal(
    answer: Response,
    route: str,
    completion_id: str | None,
    redaction: Redaction | None,
    *,
    settle: bool,
) -> Exception:
    body = answer.body
    if redaction is not None:  # before it is cut: half a value is not recognised
        body = redaction.words(body.decode("utf-8", "replace")).encode("utf-8", "replace")
    refusal = read_refusal(
        answer.status,
        answer.headers,
        body,
        route=route,
        completion_id=completion_id,
    )
    if refusal.retryable:
        wait_s = retry_after_s(answer.headers, now=datetime.now(UTC))
        return AskAgainError(Kind.REFUSED, refusal.error, retry_after_s=wait_s)
    if settle and isinstance(refusal.error, CompletionNotFoundError):
        return AskAgainError(Kind.UNSETTLED, refusal.error)
    return refusal.error


def exchange_failure(error: ExchangeError, route: str) -> Exception:
    """Return the error of an exchange without a usable response, usually AskAgainError."""
    message = one_line(f"{route}: {error.words}")
    if error.failure is ExchangeFailure.UNUSABLE_ADDRESS:
        return SourceUnreachableError(message, request_id=error.request_id)
    if error.failure is ExchangeFailure.TOO_LARGE:
        return TooLargeError(message, request_id=error.request_id)
    if error.failure is ExchangeFailure.BROKEN_ANSWER:
        broken = InvalidResponseError(message, request_id=error.request_id)
        return AskAgainError(Kind.UNREADABLE, broken)
    lost = RetriesExhaustedError(message, request_id=error.request_id)
    return AskAgainError(Kind.UNREACHABLE, lost)


def outcome_of(status: int) -> RequestOutcome:
    """Return what a status says about the pace."""
    if status == 429:
        return RequestOutcome.LIMITED
    if status == 503:
        return RequestOutcome.OVERLOADED
    return RequestOutcome.ACCEPTED if status < 500 else RequestOutcome.UNKNOWN
