"""A real HTTP server over loopback that answers just what a test wrote down, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

OK = b'{"ok": true}'


@dataclass(frozen=True)
class Answer:
    """One answer. `cut`: close after so many body bytes; `drip_s`: wait before each body byte.

    `pause_s`: wait before the last byte, once all others have left.
    """

    status: int = 200
    body: bytes = OK
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    drip_s: float = 0.0
    pause_s: float = 0.0
    raw: bytes | None = None  # sent instead of all the above


DROP = Answer(raw=b"")
"""Close the connection without a word."""


@dataclass
class Seen:
    """A request as it arrived."""

    target: str
    headers: dict[str, str]


@dataclass
class ScriptedServer:
    """Answers from `script` in the order of arrival, then always with `default`."""

    script: list[Answer] = field(default_factory=list)
    default: Answer = field(default_factory=Answer)
    by_target: Callable[[str], Answer | None] = lambda target: None
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    handlers: set[asyncio.Task[None]] = field(default_factory=set)
    pausing: int = 0
    most_pausing: int = 0

    @property
    def base_url(self) -> str:
        """The address for a client, with a path."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task
        self.handlers.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self.handlers.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        target = first.split(" ")[1]
        self.seen.append(Seen(target, headers))
        answer = self.by_target(target) or (self.script.pop(0) if self.script else self.default)
        if answer.raw is not None:
            writer.write(answer.raw)
            await writer.drain()
            return False
        fields = {"content-length": str(len(answer.body)), "x-request-id": "req_test"}
        fields |= answer.headers
        status = f"HTTP/1.1 {answer.status} Word\r\n"
        writer.write((status + "".join(f"{k}: {v}\r\n" for k, v in fields.items())).encode())
        writer.write(b"\r\n")
        body = answer.body if answer.cut is None else answer.body[: answer.cut]
        for byte in body if answer.drip_s else ():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(answer.drip_s)
        if answer.pause_s:
            writer.write(body[:-1])
            await writer.drain()
            self.pausing += 1
            self.most_pausing = max(self.most_pausing, self.pausing)
            await asyncio.sleep(answer.pause_s)
            self.pausing -= 1
            writer.write(body[-1:])
        elif not answer.drip_s:
            writer.write(body)
        await writer.drain()
        return answer.cut is None


@contextlib.asynccontextmanager
async def serving(*script: Answer, default: Answer | None = None) -> AsyncIterator[ScriptedServer]:
    """Run a server in this event loop."""
    server = ScriptedServer(list(script), default or Answer())
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        handlers = list(server.handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


class FakeTime:
    """A clock that only sleeping moves; `slept` holds every sleep of more than 50 ms."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move the clock at once, let others run."""
        self.now += seconds
        if seconds > 0.05:
            self.slept.append(seconds)
        await asyncio.sleep(0)
