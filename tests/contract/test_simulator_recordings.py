"""The simulator's answers beside recorded answers of the real service."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatlake.simulator import Scenario, answers
from chatlake.simulator.operations import get
from chatlake.simulator.pages import list_completions, list_messages
from chatlake.simulator.requests import PageQuery, page
from chatlake.simulator.world import World

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings"

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recorded traffic lies beside the repository, not in it"
)


@functools.cache
def entries() -> list[dict[str, Any]]:
    """All recorded requests with their answers."""
    files = sorted(RECORDINGS.glob("*.json"))
    return [entry for file in files for entry in json.loads(file.read_text("utf-8-sig"))["Entries"]]


def recorded(*, status: int, messages: bool) -> Iterator[dict[str, Any]]:
    """Recorded answers to GET of one status, on the messages route or on the others."""
    for entry in entries():
        is_messages = "/messages" in entry["RequestUri"]
        wanted = ("GET", status, messages)
        if (entry["RequestMethod"], entry["StatusCode"], is_messages) == wanted:
            yield entry


@pytest.fixture(scope="module")
def world() -> World:
    """A store big enough to hold every kind of completion."""
    return World(Scenario(completions=3000, now=1_800_000_000))


def asked(query: bytes) -> PageQuery:
    """The query as the list routes read it."""
    read = page(query)
    assert isinstance(read, PageQuery)
    return read


def shapes(value: Any) -> Any:
    """Keys in order, all the way down; lists by the shapes that occur in them."""
    if isinstance(value, dict):
        return tuple((key, shapes(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return frozenset(shapes(inner) for inner in value)
    return type(value).__name__


def top(value: dict[str, Any]) -> tuple[str, ...]:
    """The keys in order."""
    return tuple(value)


def test_completions_have_the_recorded_keys_in_order(world: World) -> None:
    """A completion, its usage, choices and messages have the recorded keys in that order."""
    for entry in recorded(status=200, messages=False):
        body = entry["ResponseBody"]
        for real in body.get("data", [body]):
            for index in range(0, 3000, 500):
                mine = json.loads(get(world, world.identifier(index).decode()).body)
                assert top(mine) == top(real)
                assert top(mine["usage"])[:3] == top(real["usage"])
                assert top(mine["choices"][0]) == top(real["choices"][0])
                assert top(mine["choices"][0]["message"]) == top(real["choices"][0]["message"])


def test_values_have_the_recorded_types(world: World) -> None:
    """Every simple value of a completion has the type that was recorded."""
    simple = ("object", "id", "model", "created", "request_id", "seed", "top_p", "temperature")
    for entry in recorded(status=200, messages=False):
        body = entry["ResponseBody"]
        for real in body.get("data", [body]):
            mine = json.loads(world.completion(7))
            for key in (*simple, "presence_penalty", "frequency_penalty", "metadata"):
                assert type(mine[key]) is type(real[key])


def test_tool_calls_have_the_recorded_shape(world: World) -> None:
    """A function call in a reply has the recorded keys in order, and so have the tools offered."""
    real = next(
        completion
        for entry in recorded(status=200, messages=False)
        for completion in entry["ResponseBody"].get("data", [])
        if completion["choices"][0]["message"]["tool_calls"]
    )
    mine = [
        completion
        for completion in (json.loads(world.completion(index)) for index in range(400))
        for call in completion["choices"][0]["message"]["tool_calls"] or ()
        if call["type"] == "function"
    ]
    call = real["choices"][0]["message"]["tool_calls"][0]
    assert mine
    for completion in mine:
        message = completion["choices"][0]["message"]
        assert message["content"] is None
        assert shapes(message["tool_calls"][0]) == shapes(call)
        assert top(completion["tools"][0]) == top(real["tools"][0])
        assert top(completion["tools"][0]["function"]) == top(real["tools"][0]["function"])


def test_lists_have_the_recorded_keys_in_order(world: World) -> None:
    """A page of completions or messages has the recorded keys, an empty one the recorded body."""
    some = world.identifier(5).decode()
    pages = {
        False: json.loads(list_completions(world, asked(b"limit=3")).body),
        True: json.loads(list_messages(world, some, asked(b"limit=3")).body),
    }
    for messages, mine in pages.items():
        for entry in recorded(status=200, messages=messages):
            real = entry["ResponseBody"]
            if real.get("object") == "list":
                assert top(mine) == top(real)
    empty = next(
        entry["ResponseBody"]
        for entry in recorded(status=200, messages=True)
        if not entry["ResponseBody"]["data"]
    )
    last = f"after={some}-{world.message_count(5) - 1}".encode()
    assert json.loads(list_messages(world, some, asked(last)).body) == empty


def test_messages_have_the_recorded_shape(world: World) -> None:
    """Messages and their parts have the recorded keys in order, nulls included."""
    real = [
        message
        for entry in recorded(status=200, messages=True)
        for message in entry["ResponseBody"]["data"]
    ]
    mine = [
        json.loads(message)
        for index in range(600)
        for message in world.messages(index, range(min(world.message_count(index), 20)))
    ]
    assert {top(message) for message in mine} == {top(message) for message in real}

    def parts(messages: list[dict[str, Any]]) -> set[Any]:
        found = (part for message in messages for part in message["content_parts"] or ())
        return {(part["type"], top(part), top(part["image_url"] or {})) for part in found}

    assert parts(mine) == parts(real)


def test_not_found_is_word_for_word_the_recorded_one() -> None:
    """The 404 of get and messages equals the recorded body, the id put in its place."""
    found = [
        *recorded(status=404, messages=False),
        *recorded(status=404, messages=True),
    ]
    assert found
    for entry in found:
        name = entry["RequestUri"].split("/completions/")[1].split("/")[0].split("?")[0]
        assert json.loads(answers.not_found(name).body) == entry["ResponseBody"]


def test_newest_first_is_the_recorded_default(world: World) -> None:
    """Recorded lists without `order` fall in `created`, and so do the simulator's."""
    plain = [
        entry["ResponseBody"]["data"]
        for entry in recorded(status=200, messages=False)
        if entry["RequestUri"].endswith("limit=2")
    ]
    assert plain
    for data in (*plain, json.loads(list_completions(world, asked(b"limit=50")).body)["data"]):
        seconds = [completion["created"] for completion in data]
        assert seconds == sorted(seconds, reverse=True)
