"""Sends a message or a ping. What becomes of it never changes how the run ends.

One message is tried up to `ATTEMPTS` times, if another attempt may help: no connection, 429, 5xx.
Each step of an attempt (connect, write, read) may take `TIMEOUT_S`. No redirect is followed:
neither the address nor the message goes to a place that was not named. Nothing here shows an
address, because addresses are secrets, and nothing shows what the other side wrote.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx
import tenacity

from chatlake.api.proxies import proxy_for
from chatlake.api.trust import trusting
from chatlake.errors import ConfigurationError

TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 3
_PAUSES_S: Final = (1.0, 3.0)
_READ_AT_MOST: Final = 200
_is_posting: ContextVar[bool] = ContextVar("is_posting", default=False)

_LATER: Final = "Nothing to do if it is rare; `chatlake doctor --notify-test` tries again."
_ADVICE: Final = {
    400: "The address does not take this message: set `format` to slack, teams, discord or json.",
    401: "The address is no longer valid: create a new one, and store it where `notify` looks.",
    403: "The address is no longer valid: create a new one, and store it where `notify` looks.",
    404: "Nothing is at this address: create a new one, and store it where `notify` looks.",
    405: "The address takes no POST: a monitor belongs under `ping`.",
    409: "The address names more than one monitor: use the address with its UUID.",
    410: "The address was deleted: create a new one, and store it where `notify` looks.",
    429: _LATER,
}
# Healthchecks responds with 200 even then.
_UNHEARD: Final = {
    "OK (not found)": "Nothing is at this address: copy the monitor's address again.",
    "OK (rate limited)": "The monitor was pinged too often: give each program its own.",
}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent: JSON, or the text of a ping; `secret_url` is never shown."""

    secret_url: str
    document: Mapping[str, Any] | None = None
    text: str = ""
    method: Literal["GET", "POST"] = "POST"

    def __repr__(self) -> str:
        return f"Outgoing({self.method})"


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of a message: whether it was taken, the answer in words, and what to do.

    `may_help`: whether another attempt may succeed.
    """

    taken: bool
    answer: str
    advice: str = ""
    may_help: bool = False


def deliver(
    message: Outgoing, *, attempts: int = ATTEMPTS, pause: Callable[[float], None] = time.sleep
) -> SendResult:
    """Send a message; what the other side does never raises an error."""
    try:
        url = httpx.URL(message.secret_url)
        proxy = proxy_for(url.scheme, url.host, url.port)
        context = trusting()
    except httpx.InvalidURL:
        return SendResult(False, "InvalidURL", "Correct the address.")
    except ConfigurationError as error:
        return SendResult(False, error.message, error.hint)
    retrying = tenacity.Retrying(
        sleep=pause,
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_chain(*map(tenacity.wait_fixed, _PAUSES_S)),
        retry=tenacity.retry_if_result(lambda result: result.may_help),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    with (
        _unlogged(),
        httpx.Client(
            timeout=TIMEOUT_S, follow_redirects=False, verify=context, proxy=proxy, trust_env=False
        ) as client,
    ):
        result: SendResult = retrying(_attempt, client, message)
    return result


def _attempt(client: httpx.Client, message: Outgoing) -> SendResult:
    content = message.text.encode() if message.method == "POST" and message.text else None
    try:
        with client.stream(
            message.method, message.secret_url, json=message.document, content=content
        ) as answer:
            beginning = next(answer.iter_bytes(_READ_AT_MOST), b"").decode(errors="replace")
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        # The class only, because the error's text may contain the address.
        what = type(error).__name__
        return SendResult(
            False, what, "Check the address, the network and the proxy.", may_help=True
        )
    status = answer.status_code
    if answer.is_success:
        advice = _UNHEARD.get(beginning.strip())
        if advice is not None:
            return SendResult(False, f"status {status}, {beginning.strip()}", advice)
        return SendResult(True, f"status {status}")
    if answer.is_server_error or status == httpx.codes.TOO_MANY_REQUESTS:
        return SendResult(False, f"status {status}", _LATER, may_help=True)
    if answer.is_redirect:
        advice = "The address has moved, and no redirect is followed: use the new one."
    else:
        advice = _ADVICE.get(status, "Check the address and `format`.")
    return SendResult(False, f"status {status}", advice)


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keep httpx and its libraries from logging addresses, whatever the configured log level."""
    token = _is_posting.set(True)
    try:
        yield
    finally:
        _is_posting.reset(token)


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(lambda _: not _is_posting.get())
