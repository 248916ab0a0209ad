"""Bodies of the service's own errors, as recorded (section "Errors" in api-behaviour)."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

JSON = b"application/json"
HTML = b"text/html"
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response, as sent unless a fault spoils it."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=list)
    content_type: bytes = JSON


def error(
    status: int,
    message: str,
    code: str | None,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    headers: Headers | None = None,
) -> Answer:
    """An error in the service's form: message, type, param, code."""
    detail = {"message": message, "type": kind, "param": param, "code": code}
    return Answer(status, msgspec.json.encode({"error": detail}), headers or [])


def not_found(completion_id: str, *, ogx: bool = False) -> Answer:
    """404 for an id that the API does not know [rec]; OGX answers 400."""
    message = f"Completion {completion_id} not found"
    if ogx:
        return Answer(400, msgspec.json.encode({"error": {"message": message}}))
    return error(404, message, "not_found", param="completion_id")


def unknown_after(after: str, status: int) -> Answer:
    """`after` names nothing in the list; the real status is not known for sure."""
    code = "not_found" if status == 404 else "invalid_value"
    return error(status, f"No item with id {after} found", code, param="after")


def invalid_value(param: str, message: str, code: str = "invalid_value") -> Answer:
    """400: a query parameter or field has a value that is not allowed."""
    return error(400, message, code, param=param)


def invalid_api_key() -> Answer:
    """401 [rec]."""
    return error(
        401,
        "Incorrect API key provided: sk-****. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_api_key",
    )


def missing_api_key() -> Answer:
    """401 without any key."""
    return error(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        None,
    )


def forbidden() -> Answer:
    """403: the key lacks a scope."""
    return error(
        403,
        "You have insufficient permissions for this operation. Missing scopes: "
        "api.chat.completions.read.",
        "missing_scope",
    )


def method_not_supported(
    message: str = "Only POST requests are accepted.", allow: tuple[str, ...] = ("POST",)
) -> Answer:
    """405, for an account that cannot list, a request to create, or a method that a path lacks."""
    headers = [(b"allow", ", ".join(allow).encode())]
    return error(405, message, "method_not_supported", headers=headers)


def unknown_url(method: str, path: str) -> Answer:
    """404 for a path that is not a route."""
    return error(404, f"Invalid URL ({method} {path})", None)


def rate_limited(headers: Headers, code: str = "rate_limit_exceeded") -> Answer:
    """429 that is temporary: slow down and ask again."""
    return error(
        429, "Rate limit reached for requests. Slow down.", code, kind="requests", headers=headers
    )


def out_of_quota() -> Answer:
    """429 for which retrying does not help."""
    return error(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        kind="insufficient_quota",
    )


def server_error() -> Answer:
    """500 as JSON."""
    message = "The server had an error while processing your request. Sorry about that!"
    return error(500, message, None, kind="server_error")


def unavailable(code: str, headers: Headers) -> Answer:
    """503: overloaded, for now."""
    return error(
        503,
        "The engine is currently overloaded, please try again later.",
        code,
        kind="service_unavailable_error",
        headers=headers,
    )


def edge_page(status: int, title: str) -> Answer:
    """An HTML page from the edge in front of the service."""
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n<center><h1>{status} "
        f"{title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, page.encode(), content_type=HTML)
