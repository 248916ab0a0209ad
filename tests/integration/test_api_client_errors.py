"""The one place where exceptions of httpx, aiohttp and sockets become our own."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Iterator

import aiohttp
import httpx
import pytest
from httpx_aiohttp.transport import AIOHTTP_EXC_MAP

from chatlake.api.transport import ExchangeFailure, classify


def exceptions_of(module: object) -> list[type[Exception]]:
    """Return the exception classes that a module shows."""
    members = (value for _, value in inspect.getmembers(module))
    return [m for m in members if inspect.isclass(m) and issubclass(m, Exception)]


def subclasses(root: type[Exception]) -> Iterator[type[Exception]]:
    """Yield a class and all below it."""
    yield root
    for below in root.__subclasses__():
        yield from subclasses(below)


def make(kind: type[Exception]) -> Exception:
    """Build an exception without its arguments."""
    return kind.__new__(kind)


@pytest.mark.parametrize("kind", exceptions_of(httpx), ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_is_mapped(kind: type[Exception]) -> None:
    """Each exception class that httpx has, also one that a later version adds, is known here."""
    assert isinstance(classify(make(kind), answered=False), ExchangeFailure)
    assert isinstance(classify(make(kind), answered=True), ExchangeFailure)


@pytest.mark.parametrize(
    "kind",
    sorted({*subclasses(aiohttp.ClientError), *AIOHTTP_EXC_MAP}, key=lambda kind: kind.__name__),
    ids=lambda kind: kind.__name__,
)
def test_every_exception_of_aiohttp_is_mapped(kind: type[Exception]) -> None:
    """Whatever the transport lets through unmapped, or maps from, is known here."""
    assert isinstance(classify(make(kind), answered=False), ExchangeFailure)


def test_mistakes_are_not_mapped() -> None:
    """A bug in this program is not a failure of the network."""
    assert classify(KeyError("x"), answered=False) is None
    assert classify(TypeError("x"), answered=True) is None


@pytest.mark.parametrize(
    ("outer", "cause", "answered", "expected"),
    [
        (httpx.ConnectTimeout, aiohttp.ServerDisconnectedError, False, ExchangeFailure.UNREACHABLE),
        (httpx.ConnectTimeout, aiohttp.ConnectionTimeoutError, False, ExchangeFailure.TIMED_OUT),
        (httpx.ReadTimeout, aiohttp.SocketTimeoutError, True, ExchangeFailure.TIMED_OUT),
        (httpx.ConnectError, aiohttp.ClientConnectorDNSError, False, ExchangeFailure.UNREACHABLE),
        (
            httpx.ConnectError,
            aiohttp.ClientConnectorCertificateError,
            False,
            ExchangeFailure.UNUSABLE_ADDRESS,
        ),
        (httpx.ReadError, aiohttp.ClientPayloadError, True, ExchangeFailure.BROKEN_ANSWER),
        (httpx.DecodingError, None, True, ExchangeFailure.BROKEN_ANSWER),
        (httpx.UnsupportedProtocol, None, False, ExchangeFailure.UNUSABLE_ADDRESS),
        (TimeoutError, None, True, ExchangeFailure.TIMED_OUT),
        (ConnectionResetError, None, True, ExchangeFailure.BROKEN_ANSWER),
        (ssl.SSLError, None, False, ExchangeFailure.UNREACHABLE),
    ],
)
def test_kinds_of_failure(
    outer: type[Exception],
    cause: type[Exception] | None,
    answered: bool,
    expected: ExchangeFailure,
) -> None:
    """The cause behind the transport's loose mapping decides, and whether headers had come."""
    error = make(outer)
    error.__cause__ = make(cause) if cause else None
    assert classify(error, answered=answered) is expected
