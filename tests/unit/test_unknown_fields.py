"""Fields that chatlake does not know are found wherever the API may put one, and only those."""

from __future__ import annotations

import json
import time
from typing import Any, get_args

import pytest

from chatlake.model.objects import read_completion
from chatlake.model.pages import read_message_page
from chatlake.model.unknown_fields import LONGEST, MOST, is_known, unknown_fields
from chatlake.simulator import Scenario
from chatlake.simulator.scenario import Mix
from chatlake.simulator.world import World
from tests.flat import choice, completion, image, message, page_of, part

Json = dict[str, Any]


def found(sent: Json | str, *messages: Json) -> list[str]:
    """Return the unknown fields of a completion and its messages."""
    text = sent if isinstance(sent, str) else json.dumps(sent)
    return unknown_fields(
        read_completion(text.encode()), read_message_page(page_of(messages)).items
    )


def test_what_the_service_sends_is_known() -> None:
    """The recorded form of completion, message and parts has nothing new."""
    parts = [part(text="Hello"), image("https://example.test/a.png")]
    assert found(completion(), message("Hello"), message("Hello", parts, number=1)) == []


def test_documented_fields_without_a_column_are_known() -> None:
    """Documented fields that only `raw` holds are not reported as new."""
    details = {"cached_tokens": 1, "cache_write_tokens": 1, "text_tokens": 1, "image_tokens": 1}
    sent = completion(
        moderation={"flagged": False},
        usage={"prompt_tokens": 2, "prompt_tokens_details": details},
        choices=[choice("Hi", annotations=[], audio={"id": "a"}, refusal=None)],
    )
    assert found(sent, message(None, [part(text="x", prompt_cache_breakpoint=True)])) == []


@pytest.mark.parametrize("mix", get_args(Mix))
def test_everything_that_the_simulator_sends_is_known(mix: Mix) -> None:
    """Its completions have what the documentation and the recordings have."""
    world = World(Scenario(completions=200, seed=3, mix=mix))
    unknown: set[str] = set()
    for index in world.indices():
        messages = world.messages(index, range(world.message_count(index)))
        page = read_message_page(page_of([each.decode() for each in messages]))
        unknown.update(unknown_fields(read_completion(world.completion(index)), page.items))
    assert unknown == set()


@pytest.mark.parametrize(
    ("sent", "messages", "field"),
    [
        (completion(mood="new"), (), "mood"),
        (completion(usage={"cost": 1}), (), "usage.cost"),
        (
            completion(usage={"prompt_tokens_details": {"video_tokens": 0}}), (),
            "usage.prompt_tokens_details.video_tokens",
        ),
        (
            completion(usage={"completion_tokens_details": {"video_tokens": 0}}), (),
            "usage.completion_tokens_details.video_tokens",
        ),
        (completion(choices=[choice("a"), {**choice("b"), "rank": 1}]), (), "choices[].rank"),
        (completion(choices=[choice("a", mood="new")]), (), "choices[].message.mood"),
        (
            completion(choices=[choice([{"type": "text", "depth": 1}])]), (),
            "choices[].message.content[].depth",
        ),
        (completion(), (message("a"), message("b", number=1, mood=1)), "messages[].mood"),
        (
            completion(), (message("a", [part(text="a"), part(text="b", depth=1)]),),
            "messages[].content_parts[].depth",
        ),
        (completion(), (message([part(text="b", depth=1)]),), "messages[].content[].depth"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_new_field_is_named_with_its_place(
    sent: Json, messages: tuple[Json, ...], field: str
) -> None:
    """One unknown key anywhere, beside known ones, is the one that is named."""
    assert found(sent, *messages) == [field]
    assert not is_known(field)


@pytest.mark.parametrize(
    "sent",
    [
        completion(usage=None), completion(usage=[1]), completion(choices={"a": 1}),
        completion(choices=["a", None, 3]), completion(choices=[{"message": "a"}]),
        completion(usage={"prompt_tokens_details": "a"}),
        completion(choices=[choice([["a"], "b", None])]),
    ],
    ids=str,
)  # fmt: skip
def test_another_shape_is_no_new_field(sent: Json) -> None:
    """What is not the object that it should be has no fields of its own to name."""
    assert found(sent, message(["text", 3], "parts")) == []


def test_a_new_field_beside_another_shape_is_found() -> None:
    """One odd value does not hide what stands elsewhere."""
    assert found(completion(usage=[1], mood=1), message(3, 4, mood=1)) == [
        "mood",
        "messages[].mood",
    ]


def test_a_field_is_named_once() -> None:
    """A field is named once, however many messages have it."""
    messages = [message("a", number=number, mood=1) for number in range(5)]
    assert found(completion(), *messages) == ["messages[].mood"]


def test_half_a_surrogate_pair_and_endless_numbers_do_not_hide_a_field() -> None:
    """Texts that strict readers refuse are read as elsewhere."""
    text = json.dumps(completion(mood="x", seed=0)).replace('"seed": 0', r'"a\ud83d": 1e400')
    assert found(text) == ["a\ufffd", "mood"]


def test_a_name_is_one_short_printable_line() -> None:
    """A key from outside moves no cursor, turns no text and has a bounded length."""
    names = found(completion(**{"a\x1b[2J\n\u202eb": 1, "k" * 5000: 1, "": 1}))
    assert names == ["a [2J b", "k" * (LONGEST - 1) + "…", "(no name)"]


def test_endless_keys_are_cut_off() -> None:
    """A hostile object costs no more than reading it, and names no more than the most."""
    sent = completion(**{f"key {number}": 0 for number in range(100_000)})
    before = time.thread_time()
    names = found(sent, message("a", **{f"key {number}": 0 for number in range(100_000)}))
    assert len(names) == MOST
    assert time.thread_time() - before < 5


def test_a_field_that_got_known_is_known() -> None:
    """A later chatlake knows fields that were new to an earlier one, and lists only the rest."""
    known = ["moderation", "usage.prompt_tokens_details.text_tokens", "messages[].content[].text"]
    assert all(map(is_known, known))
    assert not any(map(is_known, ["text_tokens", "usage.moderation", "x.id", "(further fields)"]))
