"""The simulator's completions: determinism, order, ids, and what is in them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import struct
import time
import zlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatlake.simulator import Scenario
from chatlake.simulator.world import Filters, World
from tests.support import examples

NOW = 1_800_000_000
EVERYTHING = Filters()


def world_of(**options: Any) -> World:
    """A small store at a fixed time."""
    return World(Scenario(**{"completions": 300, "now": NOW, **options}))


def listed(world: World, *, newest_first: bool) -> list[int]:
    """All indices, gathered in small pages."""
    found: list[int] = []
    more, after = True, None
    while more:
        page, more = world.page(after=after, limit=7, newest_first=newest_first, filters=EVERYTHING)
        found += page
        after = page[-1]
    return found


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """Completions with their messages, as values."""
    return [json.loads(record) for record in world_of(completions=4000).truth()]


def test_same_seed_same_bytes() -> None:
    """The same scenario gives the same bytes, another seed others."""

    def digest(seed: int) -> str:
        return hashlib.sha256(b"\n".join(world_of(seed=seed).truth())).hexdigest()

    assert digest(5) == digest(5)
    assert digest(5) != digest(6)


def test_content_does_not_depend_on_the_number_of_completions() -> None:
    """A bigger store holds the same conversations, apart from their time."""
    small, big = world_of(completions=10), world_of(completions=10_000)
    assert small.messages(3, range(1)) == big.messages(3, range(1))
    assert small.identifier(3) == big.identifier(3)


def test_ascending_is_the_reverse_of_descending() -> None:
    """Oldest first is exactly newest first turned round, page by page."""
    world = world_of()
    assert listed(world, newest_first=False) == listed(world, newest_first=True)[::-1]
    assert len(listed(world, newest_first=False)) == 300


def test_two_of_five_neighbours_share_a_second() -> None:
    """`created` never falls, ends by `now`, and is often tied, as recorded: 146 of 369."""
    world = world_of(completions=5000, days=3)
    seconds = [world.created(index) for index in range(5000)]
    assert seconds == sorted(seconds)
    assert NOW - 3 * 86_400 <= seconds[0] < seconds[-1] <= NOW
    tied = sum(first == second for first, second in itertools.pairwise(seconds))
    assert 0.37 < tied / 5000 < 0.46


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 2**64))
def test_an_id_spells_its_index(index: int, seed: int) -> None:
    """Every id leads back to its index, and to no other with one character changed."""
    world = world_of(completions=10**12 + 1, seed=seed)
    name = world.identifier(index).decode()
    assert len(name) == len("chatcmpl-") + 29
    assert name.removeprefix("chatcmpl-").isalnum()
    assert world.index_of(name) == index
    assert world.index_of(name[:-1] + ("a" if name[-1] != "a" else "b")) is None


@given(st.text(max_size=50))
def test_any_other_text_is_an_unknown_id(text: str) -> None:
    """No text that was not given out is taken for an id."""
    assert world_of().index_of(text) is None


def test_ten_million_completions_cost_nothing() -> None:
    """A scenario of ten million lists both of its ends at once and holds none of them."""
    began = time.thread_time()  # not the clock on the wall: others use the processor too
    world = world_of(completions=10_000_000)
    for newest_first in (True, False):
        page, more = world.page(
            after=None, limit=100, newest_first=newest_first, filters=EVERYTHING
        )
        assert more
        assert len({world.completion(index) for index in page}) == 100
    assert time.thread_time() - began < 5


def test_long_and_empty_conversations_exist(records: list[dict[str, Any]]) -> None:
    """Some conversations need three pages, a few have no input at all."""
    counts = [len(record["messages"]) for record in records]
    assert 0.001 < sum(count > 100 for count in counts) / len(counts) < 0.02
    assert max(counts) > 250
    assert min(counts) == 0


def test_every_kind_of_reply_exists(records: list[dict[str, Any]]) -> None:
    """Stops, cut replies, filtered ones, tool calls, several choices, structured answers."""
    completions = [record["completion"] for record in records]
    choices = [choice for completion in completions for choice in completion["choices"]]
    reasons = Counter(choice["finish_reason"] for choice in choices)
    assert reasons.keys() == {"stop", "length", "content_filter", "tool_calls"}
    assert len(choices) > len(completions)
    assert any(completion["response_format"] for completion in completions)
    assert any(completion["seed"] < 0 for completion in completions)
    assert any(completion["seed"] > 2**62 for completion in completions)
    assert any("prompt_tokens_details" in completion["usage"] for completion in completions)
    calls = [call for choice in choices for call in choice["message"]["tool_calls"] or ()]
    assert {call["type"] for call in calls} == {"function", "custom"}
    arguments = [call["function"]["arguments"] for call in calls if "function" in call]
    assert 0 < sum(not is_json(text) for text in arguments) < len(arguments) / 5
    for completion in completions:
        usage = completion["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def is_json(text: str) -> bool:
    """Whether `text` parses."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_structured_replies_are_json(records: list[dict[str, Any]]) -> None:
    """Where a JSON schema was asked for, a finished single reply is JSON of that schema."""
    replies = [
        record["completion"]["choices"][0]
        for record in records
        if record["completion"]["response_format"]
        and len(record["completion"]["choices"]) == 1
        and not any(message["content_parts"] for message in record["messages"])
    ]
    texts = [reply["message"]["content"] for reply in replies if reply["finish_reason"] == "stop"]
    assert len(texts) > 50
    assert all("due_days" in json.loads(text) for text in texts)


def images(records: list[dict[str, Any]]) -> list[bytes]:
    """The bytes of every image in `records`."""
    urls = [
        part["image_url"]["url"]
        for record in records
        for message in record["messages"]
        for part in message["content_parts"] or ()
        if part["type"] == "image_url"
    ]
    header = "data:image/png;base64,"
    assert all(url.startswith(header) for url in urls)
    return [base64.b64decode(url[len(header) :], validate=True) for url in urls]


def test_images_are_valid_and_repeat(records: list[dict[str, Any]]) -> None:
    """Images are PNG files whose every checksum holds; sizes vary; logos come again."""
    pictures = images(records)
    sizes = [len(picture) for picture in pictures]
    assert 0.04 < len(pictures) / len(records) < 0.09
    assert min(sizes) < 1000
    assert 30_000 < max(sizes) < 42_000
    assert len(set(pictures)) < len(pictures) * 0.7
    for picture in set(pictures):
        assert pixels_of(picture) > 0


def pixels_of(picture: bytes) -> int:
    """Decodes a palette PNG by the rules of RFC 2083 and returns its number of pixels."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: dict[bytes, bytes] = {}
    place = 8
    while place < len(picture):
        length = struct.unpack_from(">I", picture, place)[0]
        name = picture[place + 4 : place + 8]
        data = picture[place + 8 : place + 8 + length]
        assert zlib.crc32(name + data) == struct.unpack_from(">I", picture, place + 8 + length)[0]
        chunks[name] = data
        place += length + 12
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (width + 1)
    assert not any(rows[:: width + 1])
    assert max(rows) < len(chunks[b"PLTE"]) // 3
    return int(width * height)


def test_parts_are_joined_with_spaces(records: list[dict[str, Any]]) -> None:
    """With parts, `content` is their texts joined by spaces, images counting as empty text."""
    messages = [message for record in records for message in record["messages"]]
    with_parts = [message for message in messages if message["content_parts"] is not None]
    assert len(with_parts) > 100
    for message in with_parts:
        texts = [part["text"] or "" for part in message["content_parts"]]
        assert message["content"] == " ".join(texts)


def test_odd_text_comes_only_when_asked_for() -> None:
    """Lone surrogates and NUL stand behind an option; without it all text is plain Unicode."""
    plain = b"\n".join(world_of().truth())
    world = world_of(completions=2000, odd_text=True)
    odd = b"\n".join(world.truth())
    assert rb"\ud83d and" not in plain
    assert rb"\u0000" not in plain
    assert rb"\ud83d and" in odd
    assert rb"\u0000" in odd
    assert any(rb"\ud83d and" in world.completion(index) for index in range(2000))


def test_filters_find_what_the_objects_say() -> None:
    """Model and metadata filters list exactly the completions whose objects match."""
    world = world_of(completions=2000)
    objects = [json.loads(world.completion(index)) for index in range(2000)]
    wanted = Filters("gpt-4.1-2025-04-14", (("team", "growth"), ("feature", "translate")))
    found, _ = world.page(after=None, limit=2000, newest_first=False, filters=wanted)
    expected = [
        index
        for index, completion in enumerate(objects)
        if completion["model"] == wanted.model
        and dict(wanted.metadata).items() <= completion["metadata"].items()
    ]
    assert found == expected
    assert found


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_late_rows_appear_behind_newer_ones() -> None:
    """With late visibility new completions appear within the time given, not in their order."""
    clock = Clock()
    world = World(Scenario(completions=10, now=NOW, late_visibility=60), clock)
    clock.seconds = 100.0
    ids = world.grow(20)
    shown: list[str] = []
    for clock.seconds in range(100, 161):
        shown += [name for name in ids if name not in shown and world.find(name) is not None]
        assert clock.seconds > 115 or not shown
    assert sorted(shown) == sorted(ids)
    assert shown != ids


def test_added_completions_are_the_newest() -> None:
    """What is added later is created later, at the store's own time, and is listed first."""
    clock = Clock()
    world = World(Scenario(completions=10, now=NOW), clock)
    clock.seconds = 50.0
    first = world.grow(2)
    clock.seconds = 70.0
    second = world.grow(1)
    page, _ = world.page(after=None, limit=3, newest_first=True, filters=EVERYTHING)
    assert [world.identifier(index).decode() for index in page] == [second[0], first[1], first[0]]
    assert [world.created(index) for index in page] == [NOW + 70, NOW + 50, NOW + 50]
