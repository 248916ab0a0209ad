"""The simulator's mix `readers`: what it holds, and that it depends on the seed alone."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from chatlake.errors import UsageError
from chatlake.simulator import Faults, Scenario, running
from chatlake.simulator.world import World
from tests.support import NOW


def world_of(**options: Any) -> World:
    """Return a store of the mix, at a fixed time."""
    return World(Scenario(**{"completions": 1200, "now": NOW, "mix": "readers", **options}))


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """Completions with their messages, as values."""
    return [json.loads(record) for record in world_of().truth()]


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Another seed gives others, and reading in another order changes nothing."""
    forwards = list(world_of(completions=60).truth())
    world = world_of(completions=60)
    backwards = [world.record(index) for index in reversed(range(60))][::-1]
    assert forwards == backwards
    assert forwards != list(world_of(completions=60, seed=2).truth())


def test_texts_have_a_realistic_length(records: list[dict[str, Any]]) -> None:
    """The median reply has about 300 characters, and the longest is near 30,000."""
    lengths = [
        len(choice["message"]["content"])
        for record in records
        for choice in record["completion"]["choices"]
        if choice["message"]["content"]
    ]
    assert 200 < statistics.median(lengths) < 400
    assert 10_000 < max(lengths) <= 30_000


def test_everything_that_readers_meet_is_there(records: list[dict[str, Any]]) -> None:
    """Refusals, developer messages, links, embedded images, audio, logprobs, several choices."""
    found: Counter[str] = Counter()
    for record in records:
        choices = record["completion"]["choices"]
        found["choices"] += len(choices) > 1
        found["logprobs"] += bool(choices[0]["logprobs"])
        found["refusal"] += bool(choices[0]["message"].get("refusal"))
        found["spoken"] += bool(choices[0]["message"].get("audio"))
        for message in record["messages"]:
            found[message["role"]] += 1
            found["with calls"] += bool(message.get("tool_calls"))
            for part in message["content_parts"] or ():
                url = (part["image_url"] or {}).get("url", "")
                found[f"{part['type']} {url[:5]}"] += 1
        for first, second in pairwise(record["messages"]):
            lacks = second["role"] == "tool" and first["role"] == "assistant"
            found["without calls"] += lacks and not first.get("tool_calls")
    expected = (
        "choices", "logprobs", "refusal", "spoken", "developer", "system", "tool", "with calls",
        "without calls", "image_url https", "image_url data:", "input_audio ",
    )  # fmt: skip
    assert [name for name in expected if found[name] < 3] == []


def test_conversations_go_on_over_completions(records: list[dict[str, Any]]) -> None:
    """Some completion's inputs begin with those of the one before and its reply."""
    going_on = 0
    for earlier, later in pairwise(records):
        contents = [message["content"] for message in later["messages"]]
        said = [message["content"] for message in earlier["messages"]]
        reply = earlier["completion"]["choices"][0]["message"]["content"]
        going_on += contents[: len(said) + 1] == [*said, reply]
    assert going_on > len(records) / 4


def test_messages_are_numbered_and_paged_as_any(records: list[dict[str, Any]]) -> None:
    """The ids are the completion's with the position, and HTTP gives what the truth holds."""
    for record in records:
        name = record["completion"]["id"]
        ids = [message["id"] for message in record["messages"]]
        assert ids == [f"{name}-{position}" for position in range(len(ids))]
    scenario = Scenario(completions=1200, now=NOW, mix="readers")
    with running(scenario, Faults()) as server:
        assert json.loads(next(server.simulator.world.truth())) == records[0]


def test_an_unknown_mix_is_refused() -> None:
    """The option names what there is."""
    with pytest.raises(UsageError):
        Scenario(mix="other")  # type: ignore[arg-type]
