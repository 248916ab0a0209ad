"""The two lists, page by page: which rows, where to continue, whether there is more."""

from __future__ import annotations

from dataclasses import dataclass

from chatlake.simulator import answers
from chatlake.simulator.answers import Answer
from chatlake.simulator.requests import PageQuery
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.world import World

OVERLAP = 5
# Cursors that are not a row's id begin with this. A place follows: an index, a position or the
# beginning.
PLACE = "place-"
_BEGINNING = "beginning"


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a page starts: after `place`; None: at the beginning."""

    place: int | None


def list_completions(world: World, asked: PageQuery, fault: str | None = None) -> Answer:
    """`GET /chat/completions`: newest first unless asked otherwise [rec]."""
    scenario = world.scenario
    if scenario.list_status != 200:
        return _closed_list(scenario.list_status)
    found = None if asked.after is None else world.find(asked.after)
    cursor = _cursor(asked, found, scenario, fault)
    if cursor is None:
        return _unknown_after(world, asked)
    if fault == "hollow_page":
        return _hollow(asked, cursor)
    if cursor.place is not None and scenario.cursors == "time":
        world.oddities.counts["time_page"] += 1
    indices, more = world.page(
        after=cursor.place,
        limit=_limit(asked, scenario),
        newest_first=scenario.newest_first or asked.order != "asc",
        filters=type(asked.filters)(asked.filters.model) if scenario.ogx else asked.filters,
        overlap=min(OVERLAP, asked.limit // 2) if fault == "overlapping_page" else 0,
    )
    names = [world.identifier(index) for index in indices]
    rows = [
        world.oddities.spoil(world.completion(index), name, index, "list")
        for index, name in zip(indices, names, strict=True)
    ]
    return _page(rows, names, indices, asked, scenario, more=more)


def list_messages(
    world: World, completion_id: str, asked: PageQuery, fault: str | None = None
) -> Answer:
    """`GET /chat/completions/{id}/messages`: in the order of the conversation [rec]."""
    index = world.find(completion_id)
    if index is None:
        return answers.not_found(completion_id, ogx=world.scenario.ogx)
    oddities, scenario = world.oddities, world.scenario
    newest_first = asked.order == "desc"
    count = oddities.kept(index, world.message_count(index), edited=world.is_edited(index))
    step = -1 if newest_first else 1
    place = None if asked.after is None else _position(asked.after, completion_id, count)
    cursor = _cursor(asked, place, scenario, fault)
    if cursor is None:
        return _unknown_after(world, asked)
    if fault == "hollow_page":
        return _hollow(asked, cursor)
    start = count - 1 if newest_first else 0
    if cursor.place is not None:
        back = min(OVERLAP, asked.limit // 2) if fault == "overlapping_page" else 0
        start = min(max(cursor.place + step * (1 - back), -1), count)
    positions = list(
        range(max(start, 0) if step > 0 else start, -1 if newest_first else count, step)
    )
    shown = positions[: _limit(asked, scenario)]
    names = [b"%b-%d" % (completion_id.encode(), position) for position in shown]
    rows = [
        oddities.spoil(body, name, index, "messages", position)
        for body, name, position in zip(world.messages(index, shown), names, shown, strict=True)
    ]
    return _page(rows, names, shown, asked, scenario, more=len(positions) > len(shown))


def _cursor(
    asked: PageQuery, place: int | None, scenario: Scenario, fault: str | None
) -> _Cursor | None:
    """Where to start; None for an unknown cursor. `place`: where the row with that id is."""
    after = asked.after
    if after is None or fault == "repeated_page":
        return _Cursor(None)
    if fault == "lost_cursor":
        return None
    if after.startswith(PLACE):
        digits = after.removeprefix(PLACE)
        if digits == _BEGINNING:
            return _Cursor(None)
        return _Cursor(int(digits)) if digits.isdecimal() else None
    if place is None or scenario.cursors == "opaque":
        return None
    return _Cursor(place)


def _position(message_id: str, completion_id: str, count: int) -> int | None:
    owner, _, digits = message_id.rpartition("-")
    if owner != completion_id or not digits.isdecimal() or int(digits) >= count:
        return None
    return int(digits)


def _limit(asked: PageQuery, scenario: Scenario) -> int:
    return asked.limit if scenario.max_page is None else min(asked.limit, scenario.max_page)


def _unknown_after(world: World, asked: PageQuery) -> Answer:
    scenario = world.scenario
    if scenario.unknown_after == 200:
        world.oddities.counts["unknown_after"] += 1
        return _page([], [], [], asked, scenario, more=False)
    return answers.unknown_after(asked.after or "", scenario.unknown_after)


def _hollow(asked: PageQuery, cursor: _Cursor) -> Answer:
    """A page from which a server filtered out every row, while its `last_id` leads on."""
    place = _BEGINNING if cursor.place is None else str(cursor.place)
    name = (asked.after or place).encode("utf-8", "replace")
    return _written([], name, (PLACE + place).encode(), b"true")


def _page(
    rows: list[bytes],
    names: list[bytes],
    places: list[int],
    asked: PageQuery,
    scenario: Scenario,
    *,
    more: bool,
) -> Answer:
    nothing = b"" if scenario.ogx else None
    first, last = (names[0], names[-1]) if names else (nothing, nothing)
    if scenario.cursors == "opaque" and places:
        last = b"%b%d" % (PLACE.encode(), places[-1])
    said: bytes | None = b"true" if more else b"false"
    if scenario.has_more == "missing":
        said = None
    elif scenario.has_more == "false":
        said = b"false"
    elif scenario.has_more == "true":
        said = b"true"
        if not names and asked.after is not None:
            last = asked.after.encode("utf-8", "replace")
    return _written(rows, first, last, said)


def _written(
    rows: list[bytes], first: bytes | None, last: bytes | None, more: bytes | None
) -> Answer:
    ids = [b"null" if name is None else b'"%b"' % name for name in (first, last)]
    said = b"" if more is None else b',"has_more":' + more
    return Answer(
        200,
        b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b%b}'
        % (b",".join(rows), *ids, said),
    )


def _closed_list(status: int) -> Answer:
    if status == 405:
        return answers.method_not_supported()
    if status == 403:
        return answers.forbidden()
    return answers.error(status, "The list is not available for this account.", None)
