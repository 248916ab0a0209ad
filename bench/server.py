"""The bench server: the API of stored completions from prepared bodies, in a process of its own.

It must never be the limit of a measurement, so all bodies are made before the first request, by the
simulator's generator or for a mix, and a request costs a look-up: no framework, no parser beyond
what the clients here send. It has no faults and no odd answers: the simulator is for those.

`python -m bench.server --completions 4000` prints one line of JSON when it is ready: `base_url`,
and what it holds (`completions`, `messages`, `choices`, and `bytes`: of their JSON, each object
once). It serves until its standard input ends. Lists are always in ascending order, and a page of
messages has as many as a hundred.

Below `/v1/bench/`: `visible?count=N` shows only the first N completions from now on, and tells what
they are; `figures` tells what was sent since the last time it was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import get_args
from urllib.parse import parse_qs, unquote

from bench.bodies import Bodies, page, simulated
from bench.mixes import MIXES, records
from chatlake.simulator.answers import Answer, not_found, unknown_after
from chatlake.simulator.limiter import Bucket
from chatlake.simulator.scenario import RateHeaders, Scenario

_HEAD = (
    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nx-request-id: req_0123456789abcdef0123\r\n"
    b"openai-processing-ms: 12\r\n%bContent-Length: %d\r\n\r\n"
)
_REFUSED = (
    b'{"error":{"message":"Rate limit reached.","type":"requests","param":null,'
    b'"code":"rate_limit_exceeded"}}'
)


class Api:
    """Answers requests; `latency_s` is left to the connection."""

    def __init__(self, bodies: Bodies, bucket: Bucket | None, rate_headers: RateHeaders) -> None:
        self._bodies = bodies
        self._bucket = bucket
        self._rate_headers = rate_headers
        self._positions = {name: place for place, name in enumerate(bodies.ids)}
        self._visible = len(bodies.ids)
        self._sent = self._limited = 0
        self._first_at = self._last_at = 0.0

    def answer(self, target: bytes) -> bytes:
        """Return the whole answer to `GET target`."""
        if target.startswith(b"/v1/bench/"):
            return self._control(target.decode())
        headers = b""
        self._last_at = time.monotonic()
        self._first_at = self._first_at or self._last_at
        self._sent += 1
        if self._bucket is not None:
            wait = self._bucket.take(self._last_at)
            told = self._bucket.headers(self._rate_headers, wait)
            headers = b"".join(b"%b: %b\r\n" % pair for pair in told)
            if wait:
                self._limited += 1
                return _whole(b"429 Too Many Requests", _REFUSED, headers)
        found = self._find(target)
        if isinstance(found, bytes):
            return _whole(b"200 OK", found, headers)
        return _whole(b"404 Not Found", found.body, headers)

    def _find(self, target: bytes) -> bytes | Answer:
        """Return the body; if there is no such object, what the simulator responds."""
        path, _, query = target.decode().partition("?")
        asked = parse_qs(query) if query else {}
        after = asked.get("after", [None])[0]
        limit = int(asked.get("limit", ["20"])[0])
        parts = path.removeprefix("/v1/chat/completions").strip("/").split("/")
        if parts == [""]:
            return self._list_page(after, limit)
        name = unquote(parts[0])
        if len(parts) == 2:
            return self._bodies.messages_page(name, after, limit) or not_found(name)
        place = self._positions.get(name)
        return not_found(name) if place is None else self._bodies.completions[place]

    def _list_page(self, after: str | None, limit: int) -> bytes | Answer:
        if after is not None and after not in self._positions:
            return unknown_after(after, 404)
        start = 0 if after is None else self._positions[after] + 1
        end = min(start + limit, self._visible)
        found = self._bodies.completions[start:end]
        return page(found, self._bodies.ids[start:end], has_more=end < self._visible)

    def _control(self, target: str) -> bytes:
        path, _, query = target.partition("?")
        if path.endswith("/visible"):
            self._visible = int(parse_qs(query)["count"][0])
            return _whole(b"200 OK", json.dumps(self._bodies.facts(self._visible)).encode())
        seconds = self._last_at - self._first_at
        figures = {"requests": self._sent, "limited": self._limited, "seconds": seconds}
        self._sent = self._limited = 0
        self._first_at = 0.0
        return _whole(b"200 OK", json.dumps(figures).encode())


def _whole(status: bytes, body: bytes, headers: bytes = b"") -> bytes:
    return _HEAD % (status, headers, len(body)) + body


class Connection(asyncio.Protocol):
    """One client: requests without a body, one after the other."""

    def __init__(self, api: Api, latency_s: float, later: Callable[..., object]) -> None:
        self._api = api
        self._latency_s = latency_s
        self._later = later
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            target = self._waiting.split(b" ", 2)[1]
            self._waiting = self._waiting[end + 4 :]
            if self._latency_s and not target.startswith(b"/v1/bench/"):
                self._later(self._latency_s, self._send, target)
            else:
                self._send(target)

    def _send(self, target: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._api.answer(target))


async def serve(api: Api, latency_s: float, facts: dict[str, int]) -> None:
    """Serve on loopback until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(api, latency_s, loop.call_later), "127.0.0.1", 0, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"base_url": f"http://127.0.0.1:{port}/v1", **facts}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Make the bodies and serve them."""
    parser = argparse.ArgumentParser(description="The API of stored completions, prepared")
    parser.add_argument("--completions", type=int, default=4000)
    parser.add_argument("--mix", choices=MIXES, help="instead of the simulator's completions")
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--now", type=int, help="UTC epoch seconds, see `chatlake simulate`")
    parser.add_argument("--image-share", type=float, default=0.06)
    parser.add_argument("--image-bytes", type=int, default=40_000)
    parser.add_argument("--photo-bytes", type=int, help="of every picture that is not a logo")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--requests-per-minute", type=float)
    parser.add_argument("--rate-headers", choices=get_args(RateHeaders), default="none")
    given = parser.parse_args()
    scenario = Scenario(
        completions=given.completions,
        days=given.days,
        now=given.now,
        image_share=given.image_share,
        image_bytes=given.image_bytes,
    )
    if given.mix is None:
        bodies = Bodies.of(simulated(scenario, given.photo_bytes))
    else:
        bodies = Bodies.of(records(given.mix, given.completions, given.now))
    rate = given.requests_per_minute
    bucket = None if rate is None else Bucket(rate, None, time.monotonic())
    api = Api(bodies, bucket, given.rate_headers)
    asyncio.run(serve(api, given.latency_ms / 1000, bodies.facts(given.completions)))


if __name__ == "__main__":
    main()
