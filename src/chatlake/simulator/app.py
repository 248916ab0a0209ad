"""The ASGI application: authorisation, pace, faults, then the route.

It speaks ASGI directly: a framework would take more time per request than making the response.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

from chatlake.simulator import answers, mischief, operations, pages, refusals, wire
from chatlake.simulator.admin import ADMIN_PREFIX, admin_app
from chatlake.simulator.answers import Answer
from chatlake.simulator.dice import Dice
from chatlake.simulator.faults import Faults
from chatlake.simulator.limiter import Bucket, Headers
from chatlake.simulator.mischief import Mischief
from chatlake.simulator.requests import MAX_LIMIT, PageQuery, Route, methods, page, route
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.statistics import Statistics
from chatlake.simulator.wire import Receive, Send
from chatlake.simulator.world import World

_SIMPLE: dict[str, Callable[[World, str], Answer]] = {
    "get": operations.get,
    "delete": operations.delete,
    "create": lambda _world, _id: answers.method_not_supported(
        "This simulator holds stored completions; it creates none.", allow=("GET",)
    ),
}


class Simulator:
    """The simulated API as an ASGI application.

    `on_death` is called once when `Faults.dies_after` is reached. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        scenario: Scenario,
        faults: Faults | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scenario = scenario
        self.world = World(scenario, clock)
        self.statistics = Statistics()
        self.on_death: Callable[[], None] = lambda: None
        self._clock = clock
        self._number = 0
        self._bucket = (
            None
            if scenario.requests_per_minute is None
            else Bucket(scenario.requests_per_minute, scenario.burst, clock())
        )
        self._admin: ASGIApp = admin_app(self)
        self.set_faults(faults or Faults())

    def set_faults(self, faults: Faults) -> None:
        """Replaces the faults; their counts, and the time to an outage, start again."""
        self.mischief = Mischief(faults, Dice(self.scenario.seed))
        self.world.oddities.set_faults(faults)
        self._faults_since = self._clock()
        self._requests_left = faults.dies_after

    def report(self) -> dict[str, Any]:
        """Statistics, and the faults and oddities that happened."""
        happened = self.mischief.counts + self.world.oddities.counts
        return {**self.statistics.report(), "faults": dict(happened)}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path.startswith(ADMIN_PREFIX):
            await self._admin(scope, receive, send)
            return
        found = route(scope["method"], path, scope["query_string"])
        name = found.name if found else "unknown"
        self._number += 1
        self.statistics.begin(name, self._clock())
        try:
            await self._answer(scope, receive, send, found)
        finally:
            self.statistics.end()

    async def _answer(
        self, scope: dict[str, Any], receive: Receive, send: Send, found: Route | None
    ) -> None:
        number, began = self._number, self._clock()
        if self._is_dead():
            self.statistics.answer(0)
            await wire.broken("reset", send, receive)
            return
        if self.scenario.latency_ms:
            await asyncio.sleep(self.scenario.latency_ms / 1000)
        fault: str | None = None
        refused, told = self._gate(scope, found)
        if found is not None and refused is None:
            fault = self._refusal(found) or self._drawn(found, scope["query_string"])
            if fault in mischief.CONNECTION:
                self.statistics.answer(0)
                await wire.broken(fault, send, receive)
                return
            answer = await self._made(scope, receive, found, fault)
        else:
            answer = refused or _no_route(scope)
        if told:
            answer = dataclasses.replace(answer, headers=[*answer.headers, *told])
        # Counted before it is sent, because the client may ask for the counts as soon as it has it.
        self.statistics.answer(answer.status)
        sent = wire.Delivery(send, receive, number, int((self._clock() - began) * 1000))
        await sent.deliver(answer, fault, pause=self.mischief.faults.slow_seconds)

    def _refusal(self, found: Route) -> str | None:
        """How this one id is refused, if it is."""
        index = self.world.find(found.completion_id) if found.completion_id else None
        if index is None:
            return None
        oddities = self.world.oddities
        way = oddities.refusal(index, found.name)
        if way is not None:
            oddities.counts["refused"] += 1
        return way

    def _drawn(self, found: Route, query: bytes) -> str | None:
        return self.mischief.draw(
            found.name,
            with_after=b"after=" in query,
            follows_hollow=f"after={pages.PLACE}".encode() in query,
        )

    def _is_dead(self) -> bool:
        if self._requests_left is None:
            return False
        self._requests_left -= 1
        if self._requests_left == -1:
            self.on_death()
        return self._requests_left < 0

    def _refused(self, scope: dict[str, Any]) -> Answer | None:
        key = b""
        for name, value in scope["headers"]:
            if name == b"api-key":
                key = value
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                key = value[7:].strip()
        if not key:
            return answers.missing_api_key()
        wanted = self.scenario.api_key
        if wanted is not None and key != wanted.encode():
            return answers.invalid_api_key()
        return None

    def _gate(self, scope: dict[str, Any], found: Route | None) -> tuple[Answer | None, Headers]:
        """What keeps the request from its route, if anything, and the rate headers."""
        refused = self._refused(scope)
        if refused is not None or found is None:
            return refused, []
        now = self._clock()
        if self.mischief.in_outage(now - self._faults_since):
            code = "service_unavailable_error"
            return answers.unavailable(code, self.mischief.retry_after()), []
        if self._bucket is None:
            return None, []
        wait = self._bucket.take(now)
        told = self._bucket.headers(self.scenario.rate_headers, wait)
        if not wait:
            return None, told
        self.statistics.rate_limited += 1
        return answers.rate_limited([]), told

    async def _made(
        self, scope: dict[str, Any], receive: Receive, found: Route, fault: str | None
    ) -> Answer:
        """The route's answer, or the fault's."""
        if fault in mischief.ANSWERING:
            return self.mischief.answer(fault)
        if fault is not None and fault in refusals.WAYS:
            return refusals.refusal(fault, scope["method"], scope["path"])
        if found.name in self.scenario.lacks.split(","):
            return refusals.lacking(self.scenario.lacks_status, scope["method"], scope["path"])
        if fault == "other_id":
            found = dataclasses.replace(found, completion_id=self._oldest() or found.completion_id)
        if found.name == "update":
            body = await wire.body_of(receive)
            answer = operations.update(self.world, found.completion_id, body)
        elif found.name in {"list", "messages"}:
            answer = self._paged(scope["query_string"], found, fault)
        else:
            answer = _SIMPLE[found.name](self.world, found.completion_id)
        return answer if fault is None else mischief.spoiled(fault, found.name, answer)

    def _oldest(self) -> str | None:
        index = next(self.world.indices(), None)
        return None if index is None else self.world.identifier(index).decode()

    def _paged(self, query: bytes, found: Route, fault: str | None) -> Answer:
        scenario = self.scenario
        largest = MAX_LIMIT
        if scenario.max_page is not None:
            largest = scenario.max_page if scenario.strict_limit else sys.maxsize
        asked = page(query, largest)
        if not isinstance(asked, PageQuery):
            return asked
        if found.name == "list":
            return pages.list_completions(self.world, asked, fault)
        index = self.world.index_of(found.completion_id)
        if index is not None and self.mischief.is_missing(index):
            return answers.not_found(found.completion_id, ogx=scenario.ogx)
        return pages.list_messages(self.world, found.completion_id, asked, fault)


def _no_route(scope: dict[str, Any]) -> Answer:
    """404 for an unknown path, 405 for a known one that lacks the method."""
    known = methods(scope["path"], scope["query_string"])
    if known:
        return answers.method_not_supported(
            f"Only {' and '.join(known)} requests are accepted.", allow=known
        )
    return answers.unknown_url(scope["method"], scope["path"])
