"""Running the simulator: in the foreground (`serve`) or in a thread, for tests (`running`)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from chatlake.errors import ChatlakeError
from chatlake.simulator.app import Simulator
from chatlake.simulator.faults import Faults
from chatlake.simulator.scenario import Scenario

HOST = "127.0.0.1"
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


def _listening(port: int) -> socket.socket:
    """A socket that listens on loopback; port 0 picks a free one."""
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as problem:
        listener.close()
        place, hint = f"{HOST}:{port}", "Choose another port with --port (0 takes a free one)."
        if not port:
            place = f"any port of {HOST}"
            hint = "Allow chatlake to listen on loopback, and end programs that hold many ports."
        raise ChatlakeError(
            f"cannot listen on {place}: {problem.strerror or problem}", hint=hint
        ) from problem
    return listener


def _server(simulator: Simulator) -> uvicorn.Server:
    config = uvicorn.Config(
        simulator,
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="critical",
        server_header=False,
        backlog=2048,
        # Longer than clients keep idle connections: the server should never be the one to close.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)

    def close_listeners() -> None:
        for listener in server.servers:
            listener.close()

    simulator.on_death = close_listeners
    return server


def serve(
    scenario: Scenario,
    faults: Faults | None = None,
    port: int = 8080,
    *,
    announce: Callable[[str], None] | None = None,
    exit_with_parent: bool = False,
) -> None:
    """Serves on loopback until interrupted or terminated.

    `announce` is given the base URL (ending in /v1) once connections are accepted; port 0 picks a
    free one. With `exit_with_parent` it also ends when the process that started it is gone. Raises
    ChatlakeError if the port cannot be used.
    """
    listener = _listening(port)
    server = _server(Simulator(scenario, faults))
    if exit_with_parent:
        threading.Thread(target=_watch_parent, args=(server, os.getppid()), daemon=True).start()
    # The kernel queues connections from here on, so the address may be announced before the loop
    # runs.
    listener.listen(2048)
    if announce is not None:
        announce(_base_url(listener))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _watch_parent(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.25)
    server.should_exit = True


def _base_url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}/v1"


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that runs in a thread. `base_url` ends in /v1.

    Methods that take an id raise KeyError for one that was never issued.
    """

    base_url: str
    simulator: Simulator

    def stats(self) -> dict[str, Any]:
        """The requests and responses so far: see `Statistics.report`, and `faults`."""
        return self.simulator.report()

    def reset_stats(self) -> None:
        """Counts from zero again."""
        self.simulator.statistics.reset()

    def set_faults(self, faults: Faults | None = None) -> None:
        """Replaces the faults, None ends them."""
        self.simulator.set_faults(faults or Faults())

    def grow(self, count: int = 1) -> list[str]:
        """Adds completions that are created now; returns their ids."""
        return self.simulator.world.grow(count)

    def edit(self, completion_id: str, metadata: dict[str, str]) -> None:
        """Replaces the metadata of one."""
        self.simulator.world.edit(self._index(completion_id), metadata)

    def delete(self, completion_id: str) -> None:
        """Deletes one."""
        self.simulator.world.delete(self._index(completion_id))

    def hide(self, completion_id: str) -> None:
        """Makes one invisible until `reveal`: a row that is late."""
        self.simulator.world.hide(self._index(completion_id))

    def reveal(self, completion_id: str) -> None:
        """Shows one again."""
        self.simulator.world.reveal(self._index(completion_id))

    def date(self, completion_id: str, created: int | None) -> None:
        """Gives one another creation time (UTC seconds), or none at all."""
        self.simulator.world.date(self._index(completion_id), created)

    def shrink(self, completion_id: str, keep: int = 0) -> None:
        """Returns only the first `keep` messages of one from now on, with 200."""
        self.simulator.world.oddities.shrink(self._index(completion_id), keep)

    def refuse(
        self, completion_id: str, status: int | str = 403, routes: Iterable[str] = ("messages",)
    ) -> None:
        """Refuses one on these routes (get, messages); `status`: see `refusals.WAYS`."""
        self.simulator.world.oddities.refuse(self._index(completion_id), status, routes)

    def malform(
        self,
        completion_id: str,
        kind: str,
        routes: Iterable[str] = ("list", "get"),
        position: int = 0,
    ) -> None:
        """Spoils one, or its message at `position` (routes: messages), as `malformed.KINDS` say."""
        oddities = self.simulator.world.oddities
        oddities.malform(self._index(completion_id), kind, routes, position)

    def restore(self, completion_id: str) -> None:
        """Ends refusals, malformation and shrinking of one."""
        self.simulator.world.oddities.restore(self._index(completion_id))

    def ids(self) -> list[str]:
        """The ids of all visible completions, oldest first."""
        world = self.simulator.world
        return [world.identifier(index).decode() for index in world.indices()]

    def refused_ids(self) -> list[str]:
        """The visible ids that are refused on any route, oldest first."""
        refusal = self.simulator.world.oddities.refusal
        return self._those(lambda index: any(refusal(index, r) for r in ("get", "messages")))

    def malformed_ids(self, route: str = "list") -> list[str]:
        """The visible ids that are malformed on a route, or a message of theirs, oldest first."""
        world = self.simulator.world
        is_odd = world.oddities.is_odd
        return self._those(lambda index: is_odd(index, route, world.message_count(index)))

    def missing_ids(self) -> list[str]:
        """The visible ids whose messages always return 404 (`Faults.missing`), oldest first."""
        return self._those(self.simulator.mischief.is_missing)

    def truth(self) -> Iterator[dict[str, Any]]:
        """Everything visible, oldest first: `{"completion": {…}, "messages": […]}`."""
        return (json.loads(record) for record in self.simulator.world.truth())

    def _those(self, holds: Callable[[int], bool]) -> list[str]:
        world = self.simulator.world
        return [world.identifier(index).decode() for index in world.indices() if holds(index)]

    def _index(self, completion_id: str) -> int:
        index = self.simulator.world.index_of(completion_id)
        if index is None:
            raise KeyError(completion_id)
        return index


@contextlib.contextmanager
def running(
    scenario: Scenario | None = None,
    faults: Faults | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Running]:
    """Runs a simulator on a free loopback port in a thread of this process, and stops it.

    `clock`: monotonic seconds, asked from that thread; see `Simulator`. ChatlakeError if the
    simulator does not start.
    """
    simulator = Simulator(scenario or Scenario(), faults, clock=clock)
    listener = _listening(0)
    base_url = _base_url(listener)
    server = _server(simulator)
    # Outside the main thread uvicorn leaves the signal handlers alone.
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="chatlake-simulator", daemon=True
    )
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    if not server.started:
        raise ChatlakeError("The simulator did not start.")
    try:
        yield Running(base_url, simulator)
    finally:
        server.should_exit = True
        thread.join(_STOP_SECONDS)
