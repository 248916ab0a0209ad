"""The server's ceiling: prepared requests, answers thrown away; nothing in Python asks faster.

Lists completions first; only the requests for the first page of messages of each are timed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener


class Client(asyncio.Protocol):
    """One connection: the next request when the answer to the last one is whole."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self._missing = 0
        self._head = b""
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count down to the end of the answer."""
        if self._missing == 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = int(self._head[:end].rpartition(b"Content-Length: ")[2].split(b"\r\n")[0])
            self._missing = length + end + 4 - len(self._head)
            self._head = b""
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self.answered += 1
            self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self._done.done():
            self._done.set_result(None)


def completion_ids(base_url: str) -> Iterator[str]:
    """Yield every id, page by page."""
    opener = build_opener(ProxyHandler({}))
    after = ""
    more = True
    while more:
        with opener.open(f"{base_url}/chat/completions?limit=100&order=asc{after}") as answer:
            page = json.load(answer)
        yield from (item["id"] for item in page["data"])
        more, after = page["has_more"], f"&after={page['last_id']}"


def _given(client: Client) -> Client:
    return client


async def main() -> None:
    """Print how many requests were answered, in which time."""
    parser = argparse.ArgumentParser(description="The bench server's ceiling")
    parser.add_argument("base_url")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    given = parser.parse_args()
    place = urlsplit(given.base_url)
    request = "GET {}/chat/completions/{}/messages?limit=100&order=asc HTTP/1.1\r\nHost: {}\r\n\r\n"
    requests = [
        request.format(place.path, name, place.netloc).encode()
        for name in islice(completion_ids(given.base_url), given.requests)
    ]
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    all_done: list[asyncio.Future[None]] = [loop.create_future() for _ in range(given.connections)]
    began = time.monotonic()
    clients = [Client(waiting, done) for done in all_done]
    for client in clients:
        await loop.create_connection(partial(_given, client), place.hostname, place.port)
    await asyncio.gather(*all_done)
    seconds = time.monotonic() - began
    answered = sum(client.answered for client in clients)
    print(json.dumps({"requests": answered, "seconds": seconds}))


if __name__ == "__main__":
    asyncio.run(main())
