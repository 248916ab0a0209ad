"""The routes themselves: from a read request to the answer, without any fault."""

from __future__ import annotations

import msgspec

from chatlake.simulator import answers
from chatlake.simulator.answers import Answer
from chatlake.simulator.requests import Page
from chatlake.simulator.world import World

OVERLAP = 5


def list_completions(world: World, asked: Page, fault: str | None = None) -> Answer:
    """`GET /chat/completions`: newest first unless asked otherwise [rec]."""
    scenario = world.scenario
    if scenario.list_status != 200:
        return _closed_list(scenario.list_status)
    after = None
    if asked.after is not None and fault != "repeated_page":
        after = world.find(asked.after)
        if after is None:
            return answers.unknown_after(asked.after, scenario.unknown_after)
    indices, more = world.page(
        after=after,
        limit=asked.limit,
        newest_first=asked.order != "asc",
        filters=type(asked.filters)(asked.filters.model) if scenario.ogx else asked.filters,
        overlap=min(OVERLAP, asked.limit // 2) if fault == "overlapping_page" else 0,
    )
    ids = [world.identifier(index) for index in (indices[0], indices[-1])] if indices else []
    return _page([world.completion(index) for index in indices], ids, more=more, ogx=scenario.ogx)


def list_messages(
    world: World, completion_id: str, asked: Page, fault: str | None = None
) -> Answer:
    """`GET /chat/completions/{id}/messages`: in the order of the conversation [rec]."""
    index = world.find(completion_id)
    if index is None:
        return answers.not_found(completion_id, ogx=world.scenario.ogx)
    newest_first = asked.order == "desc"
    count = world.message_count(index)
    step = -1 if newest_first else 1
    start = count - 1 if newest_first else 0
    if asked.after is not None and fault != "repeated_page":
        position = _position(asked.after, completion_id, count)
        if position is None:
            return answers.unknown_after(asked.after, world.scenario.unknown_after)
        back = min(OVERLAP, asked.limit // 2) if fault == "overlapping_page" else 0
        start = min(max(position + step * (1 - back), -1), count)
    positions = list(
        range(max(start, 0) if step > 0 else start, -1 if newest_first else count, step)
    )
    shown = positions[: asked.limit]
    ids = (
        [b"%b-%d" % (completion_id.encode(), place) for place in (shown[0], shown[-1])]
        if shown
        else []
    )
    more = len(positions) > len(shown)
    return _page(world.messages(index, shown), ids, more=more, ogx=world.scenario.ogx)


def _position(message_id: str, completion_id: str, count: int) -> int | None:
    owner, _, digits = message_id.rpartition("-")
    if owner != completion_id or not digits.isdecimal() or int(digits) >= count:
        return None
    return int(digits)


def _page(data: list[bytes], ids: list[bytes], *, more: bool, ogx: bool) -> Answer:
    nothing = b'""' if ogx else b"null"
    first, last = (b'"%b"' % ids[0], b'"%b"' % ids[1]) if ids else (nothing, nothing)
    return Answer(
        200,
        b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b,"has_more":%b}'
        % (b",".join(data), first, last, b"true" if more else b"false"),
    )


def _closed_list(status: int) -> Answer:
    if status == 405:
        return answers.method_not_supported()
    if status == 403:
        return answers.forbidden()
    return answers.error(status, "The list is not available for this account.", None)


def get(world: World, completion_id: str) -> Answer:
    """`GET /chat/completions/{id}`."""
    index = world.find(completion_id)
    if index is None:
        return answers.not_found(completion_id, ogx=world.scenario.ogx)
    return Answer(200, world.completion(index))


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
        pairs = checked_metadata(asked.get("metadata"))
    except ValueError as problem:
        return answers.invalid_value("metadata", str(problem))
    world.edit(index, pairs)
    return Answer(200, world.completion(index))


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
