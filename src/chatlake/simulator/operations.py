"""The routes of one completion: from the parsed request to the response, without faults."""

from __future__ import annotations

import msgspec

from chatlake.simulator import answers
from chatlake.simulator.answers import Answer
from chatlake.simulator.world import World


def get(world: World, completion_id: str) -> Answer:
    """`GET /chat/completions/{id}`."""
    index = world.find(completion_id)
    if index is None:
        return answers.not_found(completion_id, ogx=world.scenario.ogx)
    name = world.identifier(index)
    return Answer(200, world.oddities.spoil(world.completion(index), name, index, "get"))


def update(world: World, completion_id: str, body: bytes) -> Answer:
    """`POST /chat/completions/{id}`: only the metadata can change."""
    index = world.find(completion_id)
    if index is None:
        return answers.not_found(completion_id, ogx=world.scenario.ogx)
    try:
        asked = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError:
        return answers.invalid_value("body", "We could not parse the JSON body of your request.")
    for key in asked:
        if key != "metadata":
            return answers.invalid_value(key, f"Unknown parameter: '{key}'.", "unknown_parameter")
    try:
        pairs = _asked_metadata(asked)
    except ValueError as problem:
        return answers.invalid_value("metadata", str(problem))
    world.edit(index, pairs)
    return Answer(200, world.completion(index))


def _asked_metadata(asked: dict[str, object]) -> dict[str, str]:
    """The metadata of an update; null clears it, as OpenAI's specification has it."""
    if "metadata" not in asked:
        raise ValueError("Missing required parameter: 'metadata'.")
    value = asked["metadata"]
    return {} if value is None else checked_metadata(value)


def checked_metadata(value: object) -> dict[str, str]:
    """`value` as metadata: at most 16 pairs, key up to 64, value up to 512 characters.

    Raises ValueError otherwise (section "Routes" in api-behaviour).
    """
    try:
        pairs = msgspec.convert(value, dict[str, str])
    except msgspec.ValidationError as problem:
        raise ValueError(f"Invalid 'metadata': {problem}.") from problem
    if len(pairs) > 16 or any(len(key) > 64 or len(text) > 512 for key, text in pairs.items()):
        raise ValueError(
            "Invalid 'metadata': at most 16 pairs, keys of 64, values of 512 characters."
        )
    return pairs


def delete(world: World, completion_id: str) -> Answer:
    """`DELETE /chat/completions/{id}`."""
    index = world.find(completion_id)
    if index is None:
        return answers.not_found(completion_id, ogx=world.scenario.ogx)
    world.delete(index)
    gone = {"object": "chat.completion.deleted", "id": completion_id, "deleted": True}
    return Answer(200, msgspec.json.encode(gone))
