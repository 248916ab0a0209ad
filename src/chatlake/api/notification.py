"""Posts a notification. A failed post is only a warning: it does not change how the run ends."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

import httpx

from chatlake.api.proxies import proxy_for
from chatlake.api.trust import trusting
from chatlake.errors import ConfigurationError

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 3
_PAUSES_S: Final = (1.0, 3.0)
_is_posting: ContextVar[bool] = ContextVar("is_posting", default=False)


def post_notification(
    url: str, document: Mapping[str, Any], *, pause: Callable[[float], None] = time.sleep
) -> bool:
    """Post the document as JSON; returns whether it was accepted. A failing server raises nothing.

    It tries up to `ATTEMPTS` times, `TIMEOUT_S` each, if another try may help. It follows no
    redirect, so neither the address nor the document goes to another server. Log lines never show
    the address.
    """
    try:
        parts = httpx.URL(url)
        proxy = proxy_for(parts.scheme, parts.host, parts.port)
        context = trusting()
    except (ConfigurationError, httpx.InvalidURL) as error:
        words = error.message if isinstance(error, ConfigurationError) else "InvalidURL"
        logger.warning("the notification could not be sent: %s", words)
        return False
    problem = ""
    with (
        _unlogged(),
        httpx.Client(
            timeout=TIMEOUT_S, follow_redirects=False, verify=context, proxy=proxy, trust_env=False
        ) as client,
    ):
        for attempt in range(ATTEMPTS):
            if attempt:
                pause(_PAUSES_S[attempt - 1])
            try:
                answer = client.post(url, json=document)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = type(error).__name__  # its text may contain the address
                continue
            if answer.is_success:
                return True
            problem = f"status {answer.status_code}"
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS and not answer.is_server_error:
                break
    logger.warning("the notification could not be sent: %s", problem)
    return False


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
