"""One GET over the wire, and the one place where the libraries' exceptions become our own words.

httpx is used with the aiohttp transport, which is called directly with prepared requests. That
takes at most half the CPU of a request through `httpx.AsyncClient` (decision 2). The client's
redirects, cookies, event hooks and authentication flows are not needed here.

Proxies are chosen by `api.proxies`, trusted certificates by `api.trust`. `.netrc` is never read.
"""

from __future__ import annotations

import asyncio
import enum
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from chatlake.api.bodies import BodyReader, TooLargeBodyError, read_refusal_body
from chatlake.api.decoding import EncodedBodyError
from chatlake.api.proxies import proxy_for
from chatlake.api.trust import trusting
from chatlake.backup.ports import Room
from chatlake.errors import ChatlakeError
from chatlake.model.outside_text import request_id

_CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 30.0
_NO_BODY = httpx.ByteStream(b"")
_LONGEST_HEADER = 1 << 16
"""Bytes of one header; gateways send cookies and policies that are longer than aiohttp's 8 KiB."""


class ExchangeFailure(enum.Enum):
    """How an exchange failed without a usable response."""

    UNREACHABLE = "no connection, or it broke before a response"
    TIMED_OUT = "no complete response in time"
    BROKEN_ANSWER = "a response that began and did not end well"
    TOO_LARGE = "a response larger than the limit"
    UNUSABLE_ADDRESS = "retrying cannot help: address or certificate is wrong"


class ExchangeError(Exception):
    """An exchange failed: how, and the message.

    `answered`: whether the response headers had arrived; `request_id`: from them.
    """

    def __init__(
        self, failure: ExchangeFailure, words: str, *, answered: bool, request_id: str
    ) -> None:
        super().__init__(words)
        self.failure = failure
        self.words = words
        self.answered = answered
        self.request_id = request_id


# The first line that matches applies.
_FAILURES: tuple[tuple[tuple[type[Exception], ...], ExchangeFailure], ...] = (
    (
        (
            ssl.SSLCertVerificationError,
            aiohttp.ServerFingerprintMismatch,
            aiohttp.InvalidURL,
            aiohttp.NonHttpUrlClientError,
            httpx.InvalidURL,
            httpx.UnsupportedProtocol,
        ),
        ExchangeFailure.UNUSABLE_ADDRESS,
    ),
    ((TooLargeBodyError,), ExchangeFailure.TOO_LARGE),
    ((TimeoutError, aiohttp.ServerTimeoutError, httpx.TimeoutException), ExchangeFailure.TIMED_OUT),
    (
        (EncodedBodyError, httpx.DecodingError, httpx.StreamError, httpx.TooManyRedirects),
        ExchangeFailure.BROKEN_ANSWER,
    ),
    (
        (aiohttp.ClientError, httpx.HTTPError, httpx.CookieConflict, OSError),
        ExchangeFailure.UNREACHABLE,
    ),
)


@dataclass(slots=True)
class Response:
    """A complete response.

    Header names are in lower case, the body is decoded from gzip or deflate.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        """The service's id for the request; empty if it gave none."""
        return request_id(self.headers.get("x-request-id", ""))


class Wire:
    """The connections to one source; open in the event loop that uses it, `aclose` at the end.

    ConfigurationError if the proxy or the certificates are unusable.
    """

    def __init__(
        self,
        *,
        scheme: str,
        host: str,
        port: int | None,
        headers: httpx.Headers,
        connections: int,
        timeout_s: float,
        max_body: int,
        proxy: str | None,
        ca_file: str | None,
    ) -> None:
        self._timeout_s = timeout_s
        self._bodies = BodyReader(max_body)
        # `get` has one deadline for the whole exchange; a timer for each chunk would cost more.
        timeout = httpx.Timeout(None, connect=min(timeout_s, _CONNECT_TIMEOUT_S))
        self._extensions = {"timeout": timeout.as_dict()}
        proxy = proxy_for(scheme, host, port, configured=proxy)
        is_encrypted = scheme == "https" or (proxy or "").lower().startswith("https")
        context = (
            trusting(ca_file)
            if is_encrypted
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: spares loading certificates
        )
        self._transport = AiohttpTransport(
            verify=context,
            proxy=httpx.Proxy(proxy) if proxy else None,
            client=_session_factory(context, connections, headers),
        )

    async def get(self, url: str, room: Room | None = None) -> Response:
        """Send one GET; raises ExchangeError if no usable response came, for whatever reason.

        `room` is awaited before the greater part of a large body is read; its errors are raised.
        """
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                # The session carries the headers that all requests share. With a stream, even an
                # empty one, httpx adds none of its own; aiohttp adds the same ones.
                request = httpx.Request("GET", url, stream=_NO_BODY, extensions=self._extensions)
                request.read()
                response = await self._transport.handle_async_request(request)
                try:
                    headers = _lower_case(response.headers.raw)
                    if response.is_success:
                        body = await self._bodies.read(response, headers, deadline, room)
                    else:
                        body = await read_refusal_body(response, headers)
                        await response.aclose()
                except BaseException:  # complete bodies have returned their connection
                    await response.aclose()
                    raise
                return Response(response.status_code, headers, body)
        except ChatlakeError:
            raise  # from `room`: a full disk is not a failure of the exchange, whatever caused it
        except Exception as error:
            failure = classify(error, answered=response is not None)
            if failure is None:
                raise
            words = self._words(failure, error)
        # Outside of `except`, since aiohttp's exceptions carry the request's headers, the key too.
        named = request_id(response.headers.get("x-request-id", "")) if response else ""
        answered = response is not None
        raise ExchangeError(failure, words, answered=answered, request_id=named)

    async def aclose(self) -> None:
        """Close every connection; may be called twice."""
        await self._transport.aclose()

    def _words(self, failure: ExchangeFailure, error: Exception) -> str:
        if failure is ExchangeFailure.TIMED_OUT and not isinstance(error, httpx.ConnectTimeout):
            return f"no complete response within {self._timeout_s:g} s"
        cause = error.__cause__ or error
        if isinstance(cause, _LostError):
            cause = cause.__cause__ or cause
        if isinstance(cause, aiohttp.ServerDisconnectedError):
            return "the server closed the connection without a response"
        if isinstance(error, aiohttp.ClientResponseError):
            if "Got more than" in error.message:  # aiohttp quotes the line, whatever it contains
                return f"a line of the response headers is longer than {_LONGEST_HEADER >> 10} KiB"
            return f"the response is not readable HTTP: {error.message.rstrip('.')}"
        return str(cause) or type(cause).__name__


def classify(error: Exception, *, answered: bool) -> ExchangeFailure | None:
    """Map an exception of httpx, aiohttp or the socket to its ExchangeFailure; None for any other.

    `answered`: whether the response headers had arrived. The transport maps aiohttp's exceptions
    loosely (a dropped connection arrives as httpx.ConnectTimeout), so this looks at the cause
    first.
    """
    for candidate in (error.__cause__, error):
        for types, failure in _FAILURES:
            if isinstance(candidate, types):
                lost = failure is ExchangeFailure.UNREACHABLE and answered
                return ExchangeFailure.BROKEN_ANSWER if lost else failure
    return None


def _lower_case(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _session_factory(
    context: ssl.SSLContext, connections: int, headers: httpx.Headers
) -> Callable[[], aiohttp.ClientSession]:
    def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers=[(name.decode(), value.decode()) for name, value in headers.raw],
            connector=aiohttp.TCPConnector(
                limit=connections, ssl=context, keepalive_timeout=_KEEPALIVE_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            middlewares=(_send_once,),
        )

    return open_session


class _LostError(aiohttp.ClientConnectionError):
    """A connection that was lost; aiohttp's own error, the cause, would be retried."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send a request only once, whatever happens.

    aiohttp sends a GET again by itself when a kept connection was closed: such a request is
    not counted and ignores the pace. The one place that retries is `api.retry`.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # aiohttp does not retry these
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _LostError(str(error)) from error
