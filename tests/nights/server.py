"""A source over real HTTP whose every habit may change between two nights.

As it is at first it is exact: a list ordered by `created`, `after=<id>`, an honest `has_more`, one
user message for each completion. `habits` holds how the whole server answers, `faults` how it
answers for one completion or one route, `before` is called with each request before it is answered.
It runs in a thread of its own, or for a while in the event loop of its client (`here`), where an
answer takes half the time; change it while no request is under way, or from `before`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from tests.nights.wire import RESET, Answer, created_as, error, json_answer, malformed, page_of
from tests.support import NOW

Fault = int | str | Callable[["Request"], Answer]
"""A status; "reset", "hang", "quota", "redirect", "empty", "html"; or what answers instead."""
ROUTES = ("get", "messages")
MOST = 1_500
"""Requests in one night, after which the server answers no more."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request: the route ("list", "get", "messages" or "other"), the id in it, its parameters."""

    route: str
    completion_id: str
    query: dict[str, str]


@dataclass(slots=True)
class Row:
    """A stored completion. `sent`: the bytes that stand in its place in a list and in `/{id}`.

    `seconds`: its place in time, whatever `created` says. `hidden`: takes room in a page without
    being shown, as a filtered row does. `message_seconds`: the time of each message, for cursors.
    """

    completion: dict[str, Any]
    seconds: int
    number: int
    messages: list[Any]
    sent: bytes | None = None
    hidden: bool = False
    message_seconds: Callable[[int], int] = lambda index: index

    @property
    def id(self) -> str:
        return str(self.completion["id"])


@dataclass(slots=True)
class Habits:
    """How the server answers everybody.

    `cursors`: "exact" places; "later": rows of a later time than that of `after` (earlier, where
    the order is descending); "from": rows of that time too. `unknown_cursor`: a status, "empty" or
    "begin". `empty_has_more`: what an empty answer for an unknown cursor says of more.
    `order`: as "asked", or always one. `ties`: what orders the rows of one second. `cap`: rows in a
    page at most, whatever is asked. `refused_limit`: above it, 400. `has_more`: "exact", "true" for
    each page, "false", "missing", "null", or "false_if_short". `created`: see `wire.created_as`. `token`: the field
    that holds an opaque cursor ("last_id", "next" or "next_cursor"), "" where ids are cursors.
    `last_id`: whether pages hold first_id and last_id. `absent`: routes that there are not, and
    `absent_body` what a request for them gets. `everything`: a status for each request.
    """

    cursors: Literal["exact", "later", "from"] = "exact"
    unknown_cursor: int | Literal["empty", "begin"] = 404
    empty_has_more: bool | None = False
    order: Literal["asked", "asc", "desc"] = "asked"
    ties: Literal["added", "id", "id backwards"] = "added"
    cap: int | None = None
    refused_limit: int | None = None
    has_more: Literal["exact", "true", "false", "missing", "null", "false_if_short"] = "exact"
    created: str = "seconds"
    token: str = ""
    last_id: bool = True
    message_cursors: Literal["exact", "later", "from"] = "exact"
    message_created: bool = False
    absent: frozenset[str] = frozenset()
    absent_body: bytes = b'{"detail":"Not Found"}'
    everything: int | None = None


@dataclass
class NightServer:
    """The state of the server and what was asked of it. Get one from `serving`."""

    habits: Habits = field(default_factory=Habits)
    rows: dict[str, Row] = field(default_factory=dict)
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    another: dict[str, str] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    before: Callable[[Request], None] = lambda request: None
    base_url: str = ""
    _number: int = 0
    _thread: _ServingThread | None = None

    @contextlib.asynccontextmanager
    async def here(self) -> AsyncIterator[None]:
        """Answer in this event loop instead of the thread, at the same address."""
        thread = self._thread
        assert thread
        with thread.paused():
            loop, connections = asyncio.get_running_loop(), set[_Connection]()
            listening = await loop.create_server(
                lambda: _Connection(self, connections), sock=thread.socket.dup()
            )
            try:
                yield
            finally:
                listening.close()
                for connection in connections:
                    connection.end()
                await asyncio.sleep(0)

    @property
    def requests(self) -> Counter[str]:
        """How often each route was asked since `forget_requests`."""
        return Counter(request.route for request in self.asked)

    def forget_requests(self) -> None:
        """Start to count again."""
        self.asked = []

    def lists(self) -> list[dict[str, str]]:
        """Return the parameters of each list that was asked for."""
        return [request.query for request in self.asked if request.route == "list"]

    def grow(
        self, count: int, *, per_second: int = 1, start: int | None = None, step: int = 1
    ) -> list[str]:
        """Add completions after the newest, so many a second, seconds `step` apart."""
        newest = max((row.seconds for row in self.rows.values()), default=NOW - step)
        first = newest + step if start is None else start
        return [
            self.add(first + (number // per_second) * step, f"chatcmpl-{self._number:05}")
            for number in range(count)
        ]

    def add(
        self, created: int, completion_id: str = "", *, messages: int = 1, **fields: Any
    ) -> str:
        """Add one completion, created at that second, with so many user messages."""
        name = completion_id or f"chatcmpl-{self._number:05}"
        completion = {
            "object": "chat.completion",
            "id": name,
            "model": "gpt-4o-mini",
            "created": created,
            "request_id": f"req_{self._number:032}",
            "usage": {"total_tokens": 20, "completion_tokens": 8, "prompt_tokens": 12},
            "metadata": {},
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": f"reply of {name}"},
                    "finish_reason": "stop",
                }
            ],
            **fields,
        }
        row = Row(completion, created, self._number, [])
        self.rows[name] = row
        self._number += 1
        self.converse(name, messages)
        return name

    def converse(self, name: str, count: int) -> None:
        """Let a completion have so many user messages."""
        self.rows[name].messages = [
            {
                "id": f"{name}-{index}",
                "role": "user",
                "content": f"question {index} of {name}",
                "content_parts": None,
                "name": None,
            }
            for index in range(count)
        ]

    def edit(self, name: str, **metadata: str) -> None:
        """Change the metadata of a completion."""
        self.rows[name].completion["metadata"] = metadata

    def delete(self, *names: str) -> None:
        """Delete completions: no route knows them any more."""
        for name in names:
            del self.rows[name]

    def malform(self, name: str, kind: str) -> None:
        """Send something else in the place of a completion; see `wire.malformed`."""
        self.rows[name].sent = malformed(kind, self.rows[name].completion)

    def break_for(self, fault: Fault, *names: str, routes: Sequence[str] = ROUTES) -> None:
        """Answer for these completions ("*": all) in another way."""
        self.faults |= {(route, name): fault for route in routes for name in names}

    def break_list(self, fault: Fault) -> None:
        """Answer the list in another way."""
        self.faults["list", ""] = fault

    @property
    def hangs(self) -> bool:
        """Whether some request is never answered."""
        return "hang" in self.faults.values()

    def mend(self) -> None:
        """Answer everything as it is again: no fault, nothing malformed, no id for another."""
        self.faults.clear()
        self.another.clear()
        for row in self.rows.values():
            row.sent = None

    def ids(self) -> list[str]:
        """Return the completions that a list shows, oldest first."""
        return [row.id for row in self._in_order("asc") if not row.hidden]

    def questions(self) -> dict[str, list[str]]:
        """Return what each of them was asked, message by message."""
        return {
            name: [said["content"] for said in self.rows[name].messages if isinstance(said, dict)]
            for name in self.ids()
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        self.asked.append(request)
        if len(self.asked) > MOST:
            return Answer(RESET)  # a night that would not end
        self.before(request)
        name, route = request.completion_id, request.route
        fault = self.faults.get((route, name), self.faults.get((route, "*")))
        if self.habits.everything is not None:
            fault = self.habits.everything
        if fault is not None:
            return fault(request) if callable(fault) else Answer.of_fault(fault, name)
        if route in self.habits.absent or route == "other":
            return Answer(404, self.habits.absent_body)
        return {"list": self._list, "get": self._get, "messages": self._messages}[route](request)

    def _in_order(self, order: str) -> list[Row]:
        ties: dict[str, Callable[[Row], Any]] = {
            "added": lambda row: row.number,
            "id": lambda row: row.id,
            "id backwards": lambda row: [-ord(letter) for letter in row.id],
        }
        tie = ties[self.habits.ties]
        ordered = sorted(self.rows.values(), key=lambda row: (row.seconds, tie(row)))
        return ordered[::-1] if order == "desc" else ordered

    def _list(self, request: Request) -> Answer:
        habits, query = self.habits, request.query
        limit = int(query.get("limit", "20"))
        if habits.refused_limit is not None and limit > habits.refused_limit:
            words = f"limit must be less than or equal to {habits.refused_limit}"
            return json_answer(400, error(words, "invalid_value", param="limit"))
        order = query.get("order", "asc") if habits.order == "asked" else habits.order
        rows = self._in_order(order)
        after = query.get("after")
        if after is not None:
            found = next((row for row in rows if self._cursor(row) == after), None)
            if found is None and habits.unknown_cursor != "begin":
                return self._unknown_cursor(after)
            if found is not None:
                places = [(row.id, row.seconds) for row in rows]
                rows = rows[_begin(places, found.id, habits.cursors) :]
        page = rows[: min(limit, habits.cap or limit)]
        return page_of(
            [self._shown(row) for row in page if not row.hidden],
            self._ends(page),
            self._has_more(more=len(rows) > len(page), short=len(page) < limit),
        )

    def _unknown_cursor(self, after: str) -> Answer:
        if self.habits.unknown_cursor == "empty":
            ends = {"first_id": None, "last_id": None}
            return page_of([], ends, {"has_more": self.habits.empty_has_more})
        status = int(self.habits.unknown_cursor)
        return json_answer(status, error(f"Completion {after} not found", "not_found"))

    def _get(self, request: Request) -> Answer:
        name = self.another.get(request.completion_id, request.completion_id)
        row = self.rows.get(name)
        return Answer(200, self._shown(row)) if row is not None else _unknown(name)

    def _messages(self, request: Request) -> Answer:
        row = self.rows.get(request.completion_id)
        if row is None:
            return _unknown(request.completion_id)
        limit, after = int(request.query.get("limit", "20")), request.query.get("after")
        start = 0
        places = [
            (message.get("id", "") if isinstance(message, dict) else "", row.message_seconds(index))
            for index, message in enumerate(row.messages)
        ]
        if after is not None:
            if after not in {name for name, _ in places}:
                return self._unknown_cursor(after)
            start = _begin(places, after, self.habits.message_cursors)
        page = range(start, min(start + limit, len(places)))
        shown = [self._message(row, index) for index in page]
        ends = {"first_id": None, "last_id": None}
        if shown:
            ends = {"first_id": places[page[0]][0] or None, "last_id": places[page[-1]][0] or None}
        return page_of(shown, ends, {"has_more": page.stop < len(places)})

    def _message(self, row: Row, index: int) -> bytes:
        message = row.messages[index]
        if isinstance(message, bytes):
            return message
        if self.habits.message_created:
            message = message | {"created": row.seconds + row.message_seconds(index)}
        return json.dumps(message).encode()

    def _shown(self, row: Row) -> bytes:
        if row.sent is not None:
            return row.sent
        return json.dumps(created_as(self.habits.created, row.completion)).encode()

    def _cursor(self, row: Row) -> str:
        if not self.habits.token:
            return row.id
        return base64.urlsafe_b64encode(f"{row.seconds}|{row.id}".encode()).decode()

    def _ends(self, page: list[Row]) -> dict[str, Any]:
        token, ends = self.habits.token, {}
        if self.habits.last_id and token in {"", "last_id"}:
            cursors = [self._cursor(row) for row in page] or [None]
            ends = {"first_id": cursors[0], "last_id": cursors[-1]}
        elif token:
            ends = {token: self._cursor(page[-1]) if page else None}
        return ends

    def _has_more(self, *, more: bool, short: bool) -> dict[str, Any]:
        said = {
            "exact": more,
            "true": True,
            "false": False,
            "null": None,
            "false_if_short": more and not short,
        }
        kind = self.habits.has_more
        return {"has_more": said[kind]} if kind in said else {}


def _begin(places: Sequence[tuple[str, int]], after: str, cursors: str) -> int:
    """Return where a page begins: `places` are ids with seconds, in the order of the list."""
    index = next(number for number, (name, _) in enumerate(places) if name == after)
    if cursors == "exact":
        return index + 1
    second = places[index][1]
    same = [number for number, (_, other) in enumerate(places) if other == second]
    return same[-1] + 1 if cursors == "later" else same[0]


def _unknown(name: str) -> Answer:
    return json_answer(404, error(f"Completion {name} not found", "not_found"))


class _Connection(asyncio.Protocol):
    """One connection: requests one after the other, each answered at once or never."""

    def __init__(self, server: NightServer, among: set[_Connection]) -> None:
        """`among`: the connections, one of which this is as long as it is open."""
        self._server = server
        self._among = among
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._among.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.discard(self)

    def end(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            answer = self._server.answer(_request(head))
            if answer.status == 0:
                self._read = b""
                return
            if answer.status < 0:
                reset = struct.pack("ii", 1, 0)
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, reset
                )
                self._transport.abort()
                return
            self._transport.write(answer.on_the_wire())


def _request(head: bytes) -> Request:
    target = head.split(b" ", 2)[1].decode("latin-1")
    path, _, query = target.partition("?")
    parts = [unquote(part) for part in path.removeprefix("/v1/chat/completions").split("/")]
    route = {1: "list", 2: "get", 3: "messages"}.get(len(parts), "other")
    if not path.startswith("/v1/chat/completions") or (route == "messages" and parts[2] != route):
        route = "other"
    name = parts[1] if route in ROUTES else ""
    return Request(route, name, dict(parse_qsl(query, keep_blank_values=True)))


class _ServingThread:
    """Serves on a socket in a thread."""

    def __init__(self, server: NightServer) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._loop = asyncio.new_event_loop()
        self._connections: set[_Connection] = set()
        self._listening = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: _Connection(server, self._connections), sock=self.socket.dup()
            )
        )
        self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._loop.run_forever, name="night server")
        self._thread.start()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Accept no connection until the end of the block, so that others can."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def close(self) -> None:
        """Close everything."""
        self._stop()
        self._listening.close()
        for connection in self._connections:
            connection.end()
        self._loop.run_until_complete(asyncio.sleep(0.01))  # what the clients closed is noticed
        self._loop.close()
        self.socket.close()


@contextlib.contextmanager
def serving(habits: Habits | None = None) -> Iterator[NightServer]:
    """Serve on loopback, on a free port, until the end of the block."""
    server = NightServer(habits or Habits())
    thread = server._thread = _ServingThread(server)
    server.base_url = f"http://127.0.0.1:{thread.socket.getsockname()[1]}/v1"
    try:
        yield server
    finally:
        thread.close()
