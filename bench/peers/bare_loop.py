"""The least that any client of the API does: list the completions, fetch every page of messages.

httpx over the aiohttp transport, 32 requests at once; nothing is decoded but what paging needs, and
nothing is kept. `--list-only PAGES` lists so many pages and fetches no messages. `--direct` leaves
out httpx's client: the transport gets the requests, which is the least code that can use httpx.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import httpx
from httpx_aiohttp import AiohttpTransport

_ID = re.compile(rb'"id":"(chatcmpl-[^"]+)"')
_LAST = re.compile(rb'"last_id":"([^"]+)","has_more":true}$')


Get = Callable[[str, dict[str, str]], Awaitable[bytes]]
"""Returns the body for a path below the base URL, and parameters."""


class Loop:
    """One run; counts what it received."""

    def __init__(self, get: Get, concurrency: int) -> None:
        self._get = get
        self._concurrency = concurrency
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(2 * concurrency)
        self.completions = self.messages = self.requests = self.bytes = 0

    async def run(self, pages: int | None) -> None:
        """List, and fetch meanwhile what was listed; or list only `pages`."""
        list_only = pages is not None
        async with asyncio.TaskGroup() as group:
            workers = 0 if list_only else self._concurrency
            for _ in range(workers):
                group.create_task(self._work())
            after: str | None = None
            more = True
            while more:
                body = await self._page("chat/completions", after)
                found = _ID.findall(body)
                self.completions += len(found)
                if not list_only:
                    for name in found:
                        await self._queue.put(name.decode())
                last = _LAST.search(body[-200:])
                after = last[1].decode() if last else None
                more = last is not None and self.requests != pages
            for _ in range(workers):
                await self._queue.put(None)

    async def _work(self) -> None:
        while (name := await self._queue.get()) is not None:
            after: str | None = None
            more = True
            while more:
                body = await self._page(f"chat/completions/{name}/messages", after)
                self.messages += body.count(b'"content_parts":')
                last = _LAST.search(body[-200:])
                after = last[1].decode() if last else None
                more = last is not None

    async def _page(self, path: str, after: str | None) -> bytes:
        parameters = {"limit": "100", "order": "asc"}
        if after:
            parameters["after"] = after
        body = await self._get(path, parameters)
        self.requests += 1
        self.bytes += len(body)
        return body


def by_client(client: httpx.AsyncClient) -> Get:
    """Ask as users of httpx do."""

    async def get(path: str, parameters: dict[str, str]) -> bytes:
        answer = await client.get(path, params=parameters)
        answer.raise_for_status()
        return answer.content

    return get


def directly(client: httpx.AsyncClient, transport: AiohttpTransport) -> Get:
    """Ask the transport, with the client's headers and time limits on each request."""
    headers = client.headers.raw
    extensions = {"timeout": client.timeout.as_dict()}

    async def get(path: str, parameters: dict[str, str]) -> bytes:
        url = f"{client.base_url}{path}?{urlencode(parameters)}"
        request = httpx.Request("GET", url, headers=headers, extensions=extensions)
        answer = await transport.handle_async_request(request)
        answer.raise_for_status()
        return await answer.aread()

    return get


async def main() -> None:
    """Run it against one server."""
    parser = argparse.ArgumentParser(description="Fetch everything, keep nothing")
    parser.add_argument("base_url")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--list-only", type=int, metavar="PAGES")
    parser.add_argument("--direct", action="store_true")
    given = parser.parse_args()
    transport = AiohttpTransport()
    async with httpx.AsyncClient(
        base_url=given.base_url,
        transport=transport,
        headers={"Authorization": "Bearer bench"},
        timeout=60,
        trust_env=False,
    ) as client:
        get = directly(client, transport) if given.direct else by_client(client)
        loop = Loop(get, given.concurrency)
        began = time.monotonic()
        await loop.run(given.list_only)
        seconds = time.monotonic() - began
    counted = ("completions", "messages", "requests", "bytes")
    print(json.dumps({**{name: getattr(loop, name) for name in counted}, "seconds": seconds}))


if __name__ == "__main__":
    asyncio.run(main())
