"""The bench server answers as the simulator does: what is measured is the real job."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from bench.servers import Server, serving
from chatlake.simulator import Running, Scenario, running
from chatlake.simulator.world import World

SCENARIO = Scenario(completions=1200, now=1_800_000_000, days=3.0)


@pytest.fixture(scope="module")
def bench() -> Iterator[Server]:
    """A bench server of the scenario, in its own process."""
    with serving(SCENARIO.completions, now=1_800_000_000, days=3.0) as server:
        yield server


@pytest.fixture(scope="module")
def simulator() -> Iterator[Running]:
    """A simulator of the same scenario."""
    with running(SCENARIO) as server:
        yield server


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client for both."""
    with httpx.Client(headers={"authorization": "Bearer any"}, trust_env=False) as connected:
        yield connected


def assert_same(client: httpx.Client, bench: Server, simulator: Running, path: str) -> int:
    """Both answer with the same status and bytes; returns the status."""
    ours = client.get(f"{bench.base_url}/chat/completions{path}")
    theirs = client.get(f"{simulator.base_url}/chat/completions{path}")
    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    return ours.status_code


def test_lists_are_the_simulators(client: httpx.Client, bench: Server, simulator: Running) -> None:
    """Every page of the list, the first to the last, and one behind the end."""
    after = ""
    pages = 0
    while True:
        path = f"?limit=100&order=asc{after}"
        assert assert_same(client, bench, simulator, path) == 200
        page = client.get(f"{bench.base_url}/chat/completions{path}").json()
        pages += 1
        if not page["data"]:
            break
        after = f"&after={page['last_id']}"
    assert pages == 13


def test_messages_are_the_simulators(
    client: httpx.Client, bench: Server, simulator: Running
) -> None:
    """The messages of every completion are equal: of several pages, of one, and none."""
    world = World(SCENARIO)
    counts = {world.message_count(index): index for index in range(world.total)}
    assert min(counts) == 0
    assert max(counts) > 100
    for index in counts.values():
        name = world.identifier(index).decode()
        path = f"/{name}/messages?limit=100&order=asc"
        assert assert_same(client, bench, simulator, path) == 200
        for last in range(99, world.message_count(index), 100):
            assert assert_same(client, bench, simulator, f"{path}&after={name}-{last}") == 200


def test_unknown_ids_are_the_simulators(
    client: httpx.Client, bench: Server, simulator: Running
) -> None:
    """A 404 for the completion, its messages, and as `after`."""
    unknown = "chatcmpl-" + "A" * 29
    for path in (f"/{unknown}", f"/{unknown}/messages", f"?order=asc&after={unknown}"):
        assert assert_same(client, bench, simulator, path) == 404


def test_what_it_says_that_it_holds_is_what_it_sends(client: httpx.Client, bench: Server) -> None:
    """The counts by which contestants are checked are those of what can be fetched."""
    shown = bench.show_only(150)
    try:
        first = client.get(f"{bench.base_url}/chat/completions?limit=100&order=asc").json()
        path = f"?limit=100&order=asc&after={first['last_id']}"
        second = client.get(f"{bench.base_url}/chat/completions{path}").json()
    finally:
        bench.show_only(bench.completions)
    found = first["data"] + second["data"]

    assert (len(found), second["has_more"]) == (150, False)
    assert shown.completions == 150
    assert shown.choices == sum(len(item["choices"]) for item in found)
    world = World(SCENARIO)
    assert shown.messages == sum(world.message_count(index) for index in range(150))
    records = [json.loads(world.record(index)) for index in range(150)]
    assert [record["completion"] for record in records] == found
