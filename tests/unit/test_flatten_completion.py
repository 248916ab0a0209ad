"""A completion's own row: every column from its field, and NULL for what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flat import CREATED, ID, choice, completion, exact, message, rebuilt, rows_of, without


def test_every_field_has_its_column() -> None:
    """What the API sends stands in the columns, in their types."""
    sent = completion(
        usage={
            "total_tokens": 30,
            "completion_tokens": 10,
            "prompt_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
        metadata={"team": "ä", "env": "test"},
        tool_choice={"type": "function"},
        tools=[{"type": "function"}],
        response_format={"type": "json_object"},
        input_user="user-1",
        choices=[choice("A"), choice("B", 1)],
    )
    row = rows_of(sent, [message("Hi")]).completion
    assert json.loads(row.pop("raw")) == sent
    assert json.loads(row.pop("tools")) == sent["tools"]
    assert json.loads(row.pop("tool_choice")) == sent["tool_choice"]
    assert json.loads(row.pop("response_format")) == sent["response_format"]
    assert len(row.pop("digest")) == 16
    assert row == {
        "completion_id": ID,
        "created_at": CREATED * 1_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "request_id": "req_" + "0" * 32,
        "finish_reasons": ["stop", "stop"],
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "cached_tokens": 5,
        "reasoning_tokens": 7,
        "temperature": 0.7,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": -9042522494295578869,
        "input_user": "user-1",
        "metadata": [("team", "ä"), ("env", "test")],
        "choice_count": 2,
        "message_count": 3,
        "image_count": 0,
        "first_seen_at": 1_000_000,
        "synced_at": 2_000_000,
        "deleted_at": None,
        "run_id": "run-1",
        "raw_exact": None,
    }


def test_missing_stays_null() -> None:
    """A completion that says nothing but its id has no zeros and no empty strings."""
    row = rows_of({"id": "a"}).completion
    known = {key: value for key, value in row.items() if value is not None}
    assert len(known.pop("digest")) == 16
    assert known == {
        "completion_id": "a",
        "message_count": 0,
        "image_count": 0,
        "first_seen_at": 1_000_000,
        "synced_at": 2_000_000,
        "run_id": "run-1",
        "raw": '{"id": "a"}',
    }


@pytest.mark.parametrize("usage", [None, {}, [], "many", 7, {"prompt_tokens_details": None}])
def test_usage_may_say_nothing(usage: Any) -> None:
    """No usage is unknown usage."""
    row = rows_of(completion(usage=usage)).completion
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")
    assert [row[name] for name in (*names, "reasoning_tokens")] == [None] * 5


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0", 0),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("12345678901234567890", None),
        ("12345678901234567890123", None),
        ("1e400", None),
        ("1e3", 1000),
        ("1.5", None),
        ("true", None),
        ('"7"', None),
        ("null", None),
    ],
)
def test_a_seed_is_64_bits_or_unknown(sent: str, stored: int | None) -> None:
    """Seeds keep every digit; a value that does not fit is only in raw."""
    text = json.dumps(without(completion(), "seed"))[:-1] + f', "seed": {sent}}}'
    rows = rows_of(text)
    assert rows.completion["seed"] == stored
    assert exact(rows.completion["raw"]) == exact(text)
    assert rows.completion["raw_exact"] is None


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("-0.0", "-0.0"), ("1", "1.0"), ("1e400", "None"), ("1e-400", "0.0"), ("9" * 400, "None"),
     ("true", "None"), ('"warm"', "None"), ("12345678901234567890", "1.2345678901234567e+19")],
)  # fmt: skip
def test_a_temperature_is_a_number_or_unknown(sent: str, stored: str) -> None:
    """Floats are as exact as doubles are; raw keeps the digits."""
    text = json.dumps(without(completion(), "temperature"))[:-1] + f', "temperature": {sent}}}'
    rows = rows_of(text)
    assert str(rows.completion["temperature"]) == stored
    assert rebuilt(rows)["completion"] == exact(text)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({}, []),
        (None, None),
        ([], None),
        ("a=b", None),
        ({"a": None}, [("a", None)]),
        ({"a": 1, "b": True, "c": {"d": [1.5]}}, [("a", "1"), ("b", "true"), ("c", '{"d":[1.5]}')]),
        ({"a": ""}, [("a", "")]),
    ],
)
def test_metadata_are_pairs(sent: Any, stored: Any) -> None:
    """No pairs are an empty map, no metadata is NULL, other values are their JSON."""
    assert rows_of(completion(metadata=sent)).completion["metadata"] == stored


def test_metadata_may_be_missing() -> None:
    """Without the field, as other servers send completions, `metadata` is NULL."""
    assert rows_of(without(completion(), "metadata")).completion["metadata"] is None


@pytest.mark.parametrize(
    ("sent", "stored"), [(7, "7"), ({"a": 1}, '{"a":1}'), ("", ""), (None, None)]
)
def test_text_of_another_type_is_its_json(sent: Any, stored: str | None) -> None:
    """A column of text never fails over a type."""
    row = rows_of(completion(model=sent, service_tier=sent)).completion
    assert (row["model"], row["service_tier"]) == (stored, stored)


def test_unknown_fields_stay_in_raw() -> None:
    """Undocumented values are kept in `raw`."""
    sent = completion(
        audio={"id": "x"}, moderation=[1], choices=[choice("A") | {"new": {"deep": [None]}}]
    )
    assert rebuilt(rows_of(sent))["completion"] == exact(json.dumps(sent))


def test_without_messages_the_counts_and_the_digest_are_unknown() -> None:
    """The replies are stored, and the next run sees that the rest is missing."""
    rows = rows_of(completion(), None)
    assert len(rows.outputs) == len(rows.messages) == 1
    names = ("message_count", "image_count", "digest")
    assert [rows.completion[name] for name in names] == [None, None, None]
    assert rows.completion["choice_count"] == 1


@pytest.mark.parametrize(
    ("choices", "count"), [([], 0), (None, None), ({}, None), ("none", None), (7, None)]
)
def test_a_completion_may_have_no_choices(choices: Any, count: int | None) -> None:
    """An empty list counts as 0; anything else than a list is unknown, and NULL."""
    rows = rows_of(completion(choices=choices))
    assert rows.messages == []
    assert rows.completion["choice_count"] == count
    assert rows.completion["finish_reasons"] == (None if count is None else [])
    assert rows_of(without(completion(), "choices")).completion["choice_count"] is None


def test_an_unknown_creation_is_null_everywhere() -> None:
    """A completion without a time has none in any table."""
    rows = rows_of(completion(created=None), [message("Hi")])
    stored = [rows.completion, *rows.messages, *rows.parts]
    assert [row["created_at"] for row in stored] == [None] * 5
