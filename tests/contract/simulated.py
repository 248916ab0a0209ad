"""Asking a simulator over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from chatlake.simulator import Running


def client_of(server: Running, *, timeout: float = 10) -> httpx.Client:
    """A client of `server` with any key, which follows no redirect."""
    return httpx.Client(
        base_url=server.base_url + "/chat/completions",
        headers={"authorization": "Bearer k"},
        trust_env=False,
        timeout=timeout,
    )


def page_of(client: httpx.Client, path: str = "", **query: Any) -> dict[str, Any]:
    """One page, oldest first unless `order` is given."""
    answer = client.get(path, params={"limit": 100, "order": "asc", **query})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def paged(client: httpx.Client, path: str = "", **query: Any) -> list[str]:
    """The ids seen by a client that continues after the last row while has_more is true."""
    seen: list[str] = []
    while True:
        page = page_of(client, path, **query)
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return seen
        query["after"] = seen[-1]
