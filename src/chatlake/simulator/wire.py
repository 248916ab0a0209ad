"""Sending responses over ASGI, complete or spoiled on the way."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from chatlake.simulator.answers import Answer, Headers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# As recorded; x-ratelimit and retry-after are not among them.
_ALWAYS: Headers = [
    (b"openai-organization", b"org-simulated"),
    (b"openai-project", b"proj_simulated"),
    (b"openai-version", b"2020-10-01"),
    (b"x-content-type-options", b"nosniff"),
    (b"server", b"chatlake-simulator"),
]
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835


def request_id(number: int) -> bytes:
    """The service's name for its request `number`: `req_` and 32 hexadecimal digits."""
    return b"req_%032x" % (number * _SPREAD % 2**128)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one response reaches its client: request `number`, made in `milliseconds`."""

    send: Send
    receive: Receive
    number: int
    milliseconds: int

    async def deliver(self, answer: Answer, manner: str | None, *, pause: float) -> None:
        """Sends the response; `manner` truncated, slow or drip spoils a successful one."""
        await self._start(answer)
        body = answer.body
        half = body[: len(body) // 2]
        if answer.status != 200 or manner not in {"truncated", "slow", "drip"}:
            await self.send({"type": "http.response.body", "body": body})
            return
        if manner == "drip":
            await self._drip(body, pause)
            return
        await self.send({"type": "http.response.body", "body": half, "more_body": True})
        if manner == "truncated":
            _transport(self.send).close()
            await gone(self.receive)
        else:
            await asyncio.sleep(pause)
            await self.send({"type": "http.response.body", "body": body[len(half) :]})

    async def _drip(self, body: bytes, pause: float) -> None:
        # A sender does not notice that its client is gone, and would drip on for hours.
        leaving = asyncio.create_task(gone(self.receive))
        try:
            for place in range(len(body)):
                byte = body[place : place + 1]
                await self.send({"type": "http.response.body", "body": byte, "more_body": True})
                left, _ = await asyncio.wait({leaving}, timeout=pause)
                if left:
                    return
            await self.send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()

    async def _start(self, answer: Answer) -> None:
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", request_id(self.number)),
            (b"openai-processing-ms", b"%d" % self.milliseconds),
            *_ALWAYS,
            *answer.headers,
        ]
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await self.send(start)


async def broken(manner: str, send: Send, receive: Receive) -> None:
    """No response at all: a TCP reset, or (`hang`) silence until the client goes away."""
    if manner == "reset":
        transport = _transport(send)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # Lingering for 0 seconds makes the kernel send RST rather than FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Waits until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def body_of(receive: Receive) -> bytes:
    """The whole body of the request."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _transport(send: Send) -> asyncio.Transport:
    # ASGI has no message for breaking a connection; uvicorn's send is a method of the object that
    # has the transport.
    transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
    return transport
