"""The loads of the benchmark are what docs/performance.md says of them."""

from __future__ import annotations

import json
from collections import Counter
from statistics import mean, median

import pytest

from bench.mixes import Record, records

NOW = 1_800_000_000


@pytest.fixture(scope="module")
def days() -> list[Record]:
    """Two thousand completions of the mix `days`."""
    return list(records("days", 2_000, NOW))


def test_every_day_has_two_hundred(days: list[Record]) -> None:
    """Oldest first, on whole days that are over."""
    created = [json.loads(record.completion)["created"] for record in days]
    assert created == sorted(created)
    assert set(Counter(second // 86_400 for second in created).values()) == {200}
    assert max(created) < NOW // 86_400 * 86_400


def test_conversations_have_their_length_and_images(days: list[Record]) -> None:
    """About 8.2 messages each; some have 250; every sixteenth part or so is an image."""
    messages = [[json.loads(message) for message in record.messages] for record in days]
    lengths = [len(each) for each in messages]
    assert 7.5 < mean(lengths) < 9
    assert max(lengths) == 250
    parts = [
        part for each in messages for message in each for part in message["content_parts"] or ()
    ]
    images = sum(part["type"] == "image_url" for part in parts)
    assert 12 < len(parts) / images < 20


def test_prompts_have_the_proportions_of_real_ones() -> None:
    """300 characters in the median, a tail to thousands, at most three messages."""
    found = list(records("prompts", 1_000, NOW))
    prompts = [len(json.loads(record.messages[-1])["content"]) for record in found]
    assert 250 < median(prompts) < 350
    assert 5_000 < max(prompts) <= 30_000
    assert {len(record.messages) for record in found} == {1, 2, 3}


def test_a_mix_is_the_same_each_time() -> None:
    """Two starts of the server send the same bytes."""
    assert list(records("days", 30, NOW)) == list(records("days", 30, NOW))
