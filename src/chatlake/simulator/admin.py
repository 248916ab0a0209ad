"""Routes under `/_simulator/`: look at the simulator and change what it holds.

For tests and for people; the stored-completions API itself has nothing of the kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chatlake.errors import UsageError
from chatlake.simulator.operations import checked_metadata
from chatlake.simulator.scenario import Faults

if TYPE_CHECKING:
    from chatlake.simulator.app import Simulator

ADMIN_PREFIX = "/_simulator/"
_LINES_AT_ONCE = 100

Action = Callable[["Simulator", dict[str, Any]], dict[str, Any]]


def _index(simulator: Simulator, asked: dict[str, Any]) -> int:
    found = simulator.world.index_of(str(asked.get("id", "")))
    if found is None:
        raise ValueError(f"no completion has the id {asked.get('id')!r}")
    return found


def grow(simulator: Simulator, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"n": 5}` adds that many completions, created now."""
    return {"ids": simulator.world.grow(msgspec.convert(asked.get("n", 1), int))}


def edit(simulator: Simulator, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …, "metadata": {…}}` replaces the metadata."""
    simulator.world.edit(_index(simulator, asked), checked_metadata(asked.get("metadata")))
    return {"edited": asked["id"]}


def delete(simulator: Simulator, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …}` deletes it."""
    simulator.world.delete(_index(simulator, asked))
    return {"deleted": asked["id"]}


def hide(simulator: Simulator, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …}` makes it invisible until it is revealed: a late row."""
    simulator.world.hide(_index(simulator, asked))
    return {"hidden": asked["id"]}


def reveal(simulator: Simulator, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"id": …}` shows it again."""
    simulator.world.reveal(_index(simulator, asked))
    return {"revealed": asked["id"]}


def faults(simulator: Simulator, asked: dict[str, Any]) -> dict[str, Any]:
    """`{"reset": 0.1, …}` replaces all faults; `{}` ends them."""
    simulator.set_faults(faults_of(asked))
    return {"faults": dataclasses.asdict(simulator.mischief.faults)}


def faults_of(values: dict[str, Any]) -> Faults:
    """The `Faults` of these values; ValueError names an unknown or mistyped one."""
    unknown = values.keys() - {spec.name for spec in dataclasses.fields(Faults)}
    if unknown:
        raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
    return msgspec.convert(values, Faults)


def reset(simulator: Simulator, _asked: dict[str, Any]) -> dict[str, Any]:
    """`{}` counts from zero again."""
    simulator.statistics.reset()
    return {}


_ACTIONS: tuple[Action, ...] = (grow, edit, delete, hide, reveal, faults, reset)


def admin_app(simulator: Simulator) -> Starlette:
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


def _endpoint(simulator: Simulator, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
            return JSONResponse(action(simulator, asked))
        except (ValueError, TypeError, UsageError) as problem:
            return JSONResponse({"error": {"message": str(problem)}}, status_code=400)

    return endpoint


async def _truth(simulator: Simulator) -> AsyncIterator[bytes]:
    lines: list[bytes] = []
    for record in simulator.world.truth():
        lines.append(record)
        if len(lines) == _LINES_AT_ONCE:
            yield b"\n".join(lines) + b"\n"
            lines.clear()
    if lines:
        yield b"\n".join(lines) + b"\n"
