"""What a response other than 2xx means, and its message."""

from __future__ import annotations

import json

import pytest

from chatlake import errors
from chatlake.model.error_body import Refusal, read_refusal
from chatlake.model.outside_text import note_secret

KEY = "sk-proj-0123456789abcdef"
ROUTE = "/chat/completions/chatcmpl-1/messages"


def refusal(status: int, body: object = b"", headers: dict[str, str] | None = None) -> Refusal:
    """Read an answer; a body that is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_refusal(status, headers or {}, content, route=ROUTE)


def error(**fields: str | None) -> dict[str, object]:
    """Build the service's error body."""
    return {"error": {"message": "m", "type": "t", "param": None, "code": None} | fields}


@pytest.mark.parametrize(
    ("status", "body", "expected", "retryable"),
    [
        (401, error(code="invalid_api_key"), errors.AuthenticationError, False),
        (403, error(), errors.PermissionDeniedError, False),
        (405, error(code="method_not_supported"), errors.MethodNotSupportedError, False),
        (404, error(code="not_found"), errors.CompletionNotFoundError, False),
        (400, error(message="Completion x not found"), errors.CompletionNotFoundError, False),
        (
            400,
            error(message="Chat completion with id x not found"),
            errors.CompletionNotFoundError,
            False,
        ),
        (400, error(message="limit is too large"), errors.RequestRejectedError, False),
        (422, {"detail": "limit"}, errors.RequestRejectedError, False),
        (408, error(), errors.RetriesExhaustedError, True),
        (409, error(), errors.RetriesExhaustedError, True),
        (425, error(), errors.RetriesExhaustedError, True),
        (429, error(code="rate_limit_exceeded"), errors.RetriesExhaustedError, True),
        (429, error(code="slow_down"), errors.RetriesExhaustedError, True),
        (429, b"", errors.RetriesExhaustedError, True),
        (429, error(type="insufficient_quota"), errors.QuotaExhaustedError, False),
        (429, error(code="insufficient_quota"), errors.QuotaExhaustedError, False),
        (429, error(code="credit_balance_exhausted"), errors.QuotaExhaustedError, False),
        (429, error(code="project_spend_limit_exceeded"), errors.QuotaExhaustedError, False),
        (429, error(type="organization_usage_limit_exceeded"), errors.QuotaExhaustedError, False),
        (500, error(), errors.RetriesExhaustedError, True),
        (503, b"<html>busy</html>", errors.RetriesExhaustedError, True),
        (529, b"", errors.RetriesExhaustedError, True),
        (302, b"", errors.SourceUnreachableError, False),
    ],
)
def test_class_of_error(
    status: int, body: object, expected: type[errors.ChatlakeError], retryable: bool
) -> None:
    """Each status and body gives the error whose remedy fits, and is retried or not."""
    result = refusal(status, body)
    assert type(result.error) is expected
    assert result.retryable is retryable


def test_x_should_retry_decides() -> None:
    """The service's own word on retrying goes before the status."""
    assert refusal(503, b"", {"x-should-retry": "false"}).retryable is False
    assert refusal(418, b"", {"x-should-retry": "true"}).retryable is True
    assert refusal(401, b"", {"x-should-retry": "true"}).retryable is False


def test_message_is_one_line_with_all_that_helps() -> None:
    """Route, status, the service's words and the request id stand in one line."""
    result = refusal(404, error(message="Completion\nx  not found"), {"x-request-id": "req_1"})
    assert result.error.message == f"{ROUTE}: 404 Not Found: Completion x not found (request req_1)"
    assert isinstance(result.error, errors.CompletionError)
    assert result.error.request_id == "req_1"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b"<html><head><title>502 Bad Gateway</title></head><body>x</body></html>",
            "502 Bad Gateway",
        ),
        (b"<html><style>b{}</style><body><h1>No  way</h1></body></html>", "No way"),
        (b"upstream connect error", "upstream connect error"),
        (b'{"message": "no such route"}', "no such route"),
        (b'{"error": "plain"}', "plain"),
        (b'{"error": {"message": {"odd": 1}}}', '{"odd":1}'),
        (b'["odd"]', '["odd"]'),
        (b"\xff\xfe\x00", "\ufffd\ufffd"),
        (b'{"error": "\\ud83d"}', '{"error": "\\ud83d"}'),
        (b"[" * 100_000, None),
        (b"null", None),
        (b"x" * 100_000, "x" * 299 + "…"),
    ],
)
def test_words_of_any_body(body: bytes, words: str | None) -> None:
    """HTML, plain text and odd JSON become a short text; nothing raises."""
    message = refusal(500, body).error.message
    assert len(message) < 400
    if words is None:
        assert message.startswith(f"{ROUTE}: 500 Internal Server Error")
    else:
        assert message == f"{ROUTE}: 500 Internal Server Error: {words}"


def test_key_is_struck_out() -> None:
    """A service that repeats the key, complete or truncated, does not bring it into a message."""
    note_secret(KEY)
    for text in (f"key {KEY} is wrong", f"key {KEY[:15]}", f"{KEY}{KEY}"):
        headers = {"x-request-id": KEY, "location": f"https://{KEY}/"}
        for status in (401, 404, 500, 302):
            message = refusal(status, error(message=text), headers).error.message
            assert KEY[8:] not in message
            assert "0123" not in message


def test_redirect_names_the_host() -> None:
    """A redirect is an error that names the host which the key was not sent to."""
    result = refusal(307, b"", {"location": "https://u:p@elsewhere.example/v1/x"})
    assert "redirects to the host elsewhere.example" in result.error.message
    assert "base_url" in result.error.hint
    assert "p@" not in result.error.message
