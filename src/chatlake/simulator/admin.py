"""Routes under `/_simulator/`: look at the simulator and change what it holds.

For tests and for people; the real API has nothing like it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chatlake.errors import UsageError
from chatlake.simulator.faults import Faults
from chatlake.simulator.mischief import Mischief
from chatlake.simulator.operations import checked_metadata
from chatlake.simulator.statistics import Statistics
from chatlake.simulator.world import World

ADMIN_PREFIX = "/_simulator/"
_LINES_AT_ONCE = 100


class Administered(Protocol):
    """The simulator that these routes inspect and change, and that answers the other routes."""

    world: World
    statistics: Statistics
    mischief: Mischief

    def set_faults(self, faults: Faults) -> None:
        """Replace the faults; their counts start again."""

    def report(self) -> dict[str, Any]:
        """Return statistics, and the faults and oddities that happened."""


Action = Callable[[Administered, dict[str, Any]], dict[str, Any]]


def _index(simulator: Administered, asked: dict[str, Any]) -> int:
    found = simulator.world.index_of(str(asked.get("id", "")))
    if found is None:
        raise ValueError(f"no completion has the id {asked.get('id')!r}")
    return found


def grow(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"n": 5}` adds that many completions, created now."""
    return {"ids": simulator.world.grow(msgspec.convert(asked.get("n", 1), int))}


def edit(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …, "metadata": {…}}` replaces the metadata."""
    simulator.world.edit(_index(simulator, asked), checked_metadata(asked.get("metadata")))
    return {"edited": asked["id"]}


def delete(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …}` deletes it."""
    simulator.world.delete(_index(simulator, asked))
    return {"deleted": asked["id"]}


def hide(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …}` makes it invisible until it is revealed: a late row."""
    simulator.world.hide(_index(simulator, asked))
    return {"hidden": asked["id"]}


def reveal(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …}` shows it again."""
    simulator.world.reveal(_index(simulator, asked))
    return {"revealed": asked["id"]}


def date(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …, "created": 1760054380}` gives it another time (UTC seconds); null: none."""
    created = msgspec.convert(asked.get("created"), int | None)
    simulator.world.date(_index(simulator, asked), created)
    return {"dated": asked["id"]}


def shrink(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …, "keep": 1}` returns only its first messages from now on."""
    keep = msgspec.convert(asked.get("keep", 0), int)
    simulator.world.oddities.shrink(_index(simulator, asked), keep)
    return {"shrunk": asked["id"]}


def refuse(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …, "status": 403, "routes": ["messages"]}` refuses it on these routes."""
    routes = msgspec.convert(asked.get("routes", ["messages"]), list[str])
    way = asked.get("status", 403)
    simulator.world.oddities.refuse(_index(simulator, asked), way, routes)
    return {"refused": asked["id"]}


def malform(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …, "kind": "no-id", "routes": ["list", "get"], "position": 0}` spoils it there."""
    routes = msgspec.convert(asked.get("routes", ["list", "get"]), list[str])
    position = msgspec.convert(asked.get("position", 0), int)
    kind = str(asked.get("kind"))
    simulator.world.oddities.malform(_index(simulator, asked), kind, routes, position)
    return {"malformed": asked["id"]}


def restore(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …}` ends what was set with refuse, malform and shrink."""
    simulator.world.oddities.restore(_index(simulator, asked))
    return {"restored": asked["id"]}


def faults(simulator: Administered, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"reset": 0.1, …}` replaces all faults; `{}` ends them."""
    simulator.set_faults(faults_of(asked))
    return {"faults": dataclasses.asdict(simulator.mischief.faults)}


def faults_of(values: dict[str, Any]) -> Faults:
    """The `Faults` of these values; ValueError names an unknown or mistyped one."""
    unknown = values.keys() - {spec.name for spec in dataclasses.fields(Faults)}
    if unknown:
        raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
    return msgspec.convert(values, Faults)


def reset(simulator: Administered, _asked: dict[str, Any]) -> dict[str, Any]:
    """`{}` counts from zero again."""
    simulator.statistics.reset()
    return {}


_ACTIONS: tuple[Action, ...] = (
    grow, edit, delete, hide, reveal, date, shrink, refuse, malform, restore, faults, reset,
)  # fmt: skip


def admin_app(simulator: Administered) -> Starlette:
    """The admin routes of one simulator."""

    async def stats(_request: Request) -> Response:
        return JSONResponse(simulator.report())

    async def truth(_request: Request) -> Response:
        return StreamingResponse(_truth(simulator), media_type="application/x-ndjson")

    def route_of(action: Action) -> Route:
        return Route(ADMIN_PREFIX + action.__name__, _endpoint(simulator, action), methods=["POST"])

    return Starlette(
        routes=[
            Route(ADMIN_PREFIX + "stats", stats),
            Route(ADMIN_PREFIX + "truth", truth),
            *(route_of(action) for action in _ACTIONS),
        ]
    )


def _endpoint(simulator: Administered, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
            return JSONResponse(action(simulator, asked))
        except (ValueError, TypeError, UsageError) as problem:
            return JSONResponse({"error": {"message": str(problem)}}, status_code=400)

    return endpoint


async def _truth(simulator: Administered) -> AsyncIterator[bytes]:
    lines: list[bytes] = []
    for record in simulator.world.truth():
        lines.append(record)
        if len(lines) == _LINES_AT_ONCE:
            yield b"\n".join(lines) + b"\n"
            lines.clear()
    if lines:
        yield b"\n".join(lines) + b"\n"
