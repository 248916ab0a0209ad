"""Reads the body of a response piece by piece, and never more than the limit.

A compressed body of one megabyte can decode to a thousand. So the bytes that leave the decoder are
counted, in pieces of 64 KiB, and reading ends when they exceed the bound. The bytes on the wire
count against the same bound. Of a refusal, only the first 64 KiB are read.

Large bodies take turns: two beyond 256 KiB at once, one beyond 4 MiB, because what is made of such
a body takes five times its size for a moment. Before the greater part of it is read, `room` waits
until the export can take it (`backup/export.py`). So memory stays near the bound, however many
large responses arrive at once.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterable, Mapping
from contextlib import AsyncExitStack
from typing import Final, cast

import httpx

from chatlake.api.decoding import Decoder, EncodedBodyError, decoder_for
from chatlake.backup.ports import Room
from chatlake.config.sizes import format_size

LARGE_BYTES: Final = 1 << 18
_HUGE_BYTES: Final = 1 << 22
_LARGE_AT_ONCE: Final = 2
_ERROR_BYTES: Final = 1 << 16


class TooLargeBodyError(Exception):
    """A body is larger than it may be."""


class BodyReader:
    """Reads the bodies of one source's responses; `max_body`: bytes of one, once decoded."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._turns = (
            (LARGE_BYTES, asyncio.Semaphore(_LARGE_AT_ONCE)),
            (_HUGE_BYTES, asyncio.Semaphore(1)),
        )

    async def read(
        self,
        response: httpx.Response,
        headers: Mapping[str, str],
        deadline: asyncio.Timeout,
        room: Room | None,
    ) -> bytes:
        """Return the whole body, decoded; or raise TooLargeBodyError or EncodedBodyError.

        `headers`: those of the response, with names in lower case. `room` is awaited before the
        greater part of a large body is read. While a body waits for its turn, `deadline` is paused.
        """
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._max_body:
            raise self._too_large()
        decoder = _decoder_of(response, headers)
        body, size, raw_size, grade = io.BytesIO(), 0, 0, 0
        async with AsyncExitStack() as held:
            async for chunk in _stream(response):
                raw_size += len(chunk)
                if raw_size > self._max_body:
                    raise self._too_large()
                for piece in decoder.feed(chunk):
                    size += len(piece)
                    if size > self._max_body:
                        raise self._too_large()
                    body.write(piece)
                    while grade < len(self._turns) and size > self._turns[grade][0]:
                        turn = self._turns[grade][1]
                        await _wait(held, turn, deadline, room)
                        grade += 1
        decoder.finish()
        return body.getvalue()

    def _too_large(self) -> TooLargeBodyError:
        return TooLargeBodyError(
            f"the response is larger than {format_size(self._max_body)} (pace.max_body)"
        )


async def read_refusal_body(response: httpx.Response, headers: Mapping[str, str]) -> bytes:
    """Return the first 64 KiB of the body of a refusal, as far as it can be decoded.

    `headers`: as for `BodyReader.read`. The status says what happened; the body only adds words.
    The rest is left unread.
    """
    body = b""
    try:
        decoder = _decoder_of(response, headers)
        async for chunk in _stream(response):
            for piece in decoder.feed(chunk):
                body += piece
                if len(body) >= _ERROR_BYTES:
                    return body[:_ERROR_BYTES]
    except EncodedBodyError:
        pass
    return body


def _decoder_of(response: httpx.Response, headers: Mapping[str, str]) -> Decoder:
    name = "content-encoding"  # it may come several times, which `headers` do not show
    return decoder_for(response.headers.get_list(name) if name in headers else ())


def _stream(response: httpx.Response) -> AsyncIterable[bytes]:
    return cast("httpx.AsyncByteStream", response.stream)


async def _wait(
    held: AsyncExitStack, turn: asyncio.Semaphore, deadline: asyncio.Timeout, room: Room | None
) -> None:
    """Wait for a turn, and for room. This time does not count against the service's deadline."""
    now = asyncio.get_running_loop().time
    left_s = (deadline.when() or now()) - now()
    deadline.reschedule(None)
    await held.enter_async_context(turn)
    if room is not None:
        await room()
    deadline.reschedule(now() + left_s)
