"""Time the pages of `chatlake browse` as a browser asks for them: `python -m bench.browsing LAKE`.

`bench.reading_lake` writes a lake to ask. Prints the best and the median milliseconds of each page
over HTTP, and how many times as long it takes as looking up one completion in the same views.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable
from html import unescape
from statistics import median
from urllib.parse import quote

import httpx

from bench.reading_lake import RARE
from chatlake.lake import Lake
from chatlake.web.browse.server import BrowseServer

TIMES = 9
CONVERSATIONS = 40
FILTERS = {
    "of a model": "model=o4-mini",
    "of a day": "from={day}&to={day}",
    "with a metadata value": "key=team&value=billing",
    "that called a tool": "tool=find_order",
    "with an image": "image=1",
    "cut off": "finish=length",
}
SAMPLE = """
SELECT source, created_date::VARCHAR, completion_id FROM completions
ORDER BY hash(completion_id) LIMIT ?
"""
LOOK_UP = "SELECT * FROM completions WHERE completion_id = ?"


def timed(ask: Callable[[str], object], about: str) -> float:
    """Return the milliseconds of a call."""
    began = time.perf_counter()
    ask(about)
    return 1000 * (time.perf_counter() - began)


def show(name: str, took: Iterable[float], unit: float) -> None:
    """Print a line."""
    times = sorted(took)
    best, middle = times[0], median(times)
    print(f"{name:<38} {best:>7.0f} {middle:>7.0f} {best / unit:>8.1f}")


def main() -> None:
    """Request every page."""
    lake = Lake.open(sys.argv[1])
    with lake.connect() as connection:
        some = connection.execute(SAMPLE, [CONVERSATIONS]).fetchall()
        unit = min(
            timed(lambda id_: connection.execute(LOOK_UP, [id_]).fetchall(), name)
            for _, _, name in some
        )
    pages = [f"/c/{source}/{day}/{quote(name, safe='')}" for source, day, name in some]
    server = BrowseServer(lake, 0)
    with server.running(), httpx.Client(base_url=server.base_url, timeout=60) as client:
        client.get(server.address, follow_redirects=True).raise_for_status()

        def get(address: str) -> httpx.Response:
            answer = client.get(address)
            answer.raise_for_status()
            return answer

        def of(address: str, times: int = TIMES) -> list[float]:
            return [timed(get, address) for _ in range(times)]

        print(f"{'page':<38} {'best':>7} {'median':>7} {'look-ups':>8}")
        first = [timed(get, page) for page in pages]
        show("a conversation of a day not yet read", first, unit)
        show("a conversation", [timed(get, page) for page in pages], unit)
        show("the list, 50 rows", of("/"), unit)
        older = re.findall(r'rel="next" href="([^"]+)"', get("/").text)[0]
        show("older rows", of(unescape(older)), unit)
        for name, query in FILTERS.items():
            show(f"the list, {name}", of(f"/?{query.format(day=some[0][1])}"), unit)
        show("search for a common word", of("/?q=tamoli"), unit)
        show("search for a rare word", of(f"/?q={RARE}", 2), unit)


if __name__ == "__main__":
    main()
