"""Whether a source is still the account that the lake has under its name."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from chatlake.bootstrap.opened import open_lake
from chatlake.cli.checks import Check, warning
from chatlake.config import Settings
from chatlake.errors import ChatlakeError, CompletionNotFoundError
from chatlake.lake.lake import Lake
from chatlake.model.counts import count
from chatlake.model.tables import COMPLETIONS

_ASKED = 3
"""How many stored completions to request: one or two may be missing because they were deleted."""

Point = tuple[str, int]
"""A stored completion: its id and creation (UTC seconds)."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """The newest completions that the lake holds of a source, and of sources not configured.

    `others_rows`: how many completions it holds of each of those.
    """

    own: tuple[Point, ...] = ()
    others: dict[str, tuple[Point, ...]] = field(default_factory=dict)
    others_rows: dict[str, int] = field(default_factory=dict)


def holdings(settings: Settings) -> dict[str, Holdings]:
    """Look into the lake for each source.

    It returns nothing if the lake cannot be read, because other checks report that.
    """
    try:
        lake = open_lake(settings)
        configured = [source.name for source in settings.sources]
        rows: dict[str, int] = {}
        for file in lake.state.table_files(COMPLETIONS):
            rows[file.source] = rows.get(file.source, 0) + file.rows
        others = {name: number for name, number in rows.items() if name not in configured}
        other_points = {name: _points(lake, name) for name in others}
        return {name: Holdings(_points(lake, name), other_points, others) for name in configured}
    except ChatlakeError:
        return {}


def _points(lake: Lake, source: str) -> tuple[Point, ...]:
    return tuple(islice(lake.resume_points(source, before=int(time.time())), _ASKED))


async def identity_checks(
    name: str,
    held: Holdings,
    ask: Callable[[str], Awaitable[object]],
    *,
    kept_since: float,
) -> list[Check]:
    """Ask the source for stored completions by id, and warn if it has none of them.

    `ask` requests one; it raises CompletionNotFoundError if the source does not have it.
    `kept_since`: the source must still have everything created after this time (UTC seconds).
    """
    if not held.own:
        return [check for other in held.others for check in await _renamed(name, other, held, ask)]
    points = [point for point in held.own if point[1] > kept_since]
    for completion_id, _ in points:
        if await _knows(ask, completion_id):
            return []
    if not points:
        return []
    return [
        warning(
            f"{name}: account",
            f"the source does not know the newest stored completions, e.g. {points[0][0]}: it may "
            "be another account than the one that was backed up under this name, or they were "
            "deleted",
            "Check api_key, base_url and headers. If it is another account, give it another name: "
            "two accounts in one partition cannot be told apart later.",
        )
    ]


async def _renamed(
    name: str, other: str, held: Holdings, ask: Callable[[str], Awaitable[object]]
) -> list[Check]:
    rows = count(held.others_rows[other], "completion")
    for completion_id, _ in held.others[other]:
        if await _knows(ask, completion_id):
            detail = f"the lake holds {rows} of this account as {other!r} and none as {name!r}"
            break
    else:
        detail = (
            f"the lake holds {rows} of {other!r}, which is not configured, and none of {name!r}"
        )
    return [
        warning(
            f"{name}: name",
            f"{detail}: was the source renamed?",
            f"Name it {other!r} again; as {name!r} everything is backed up and counted a second "
            "time.",
        )
    ]


async def _knows(ask: Callable[[str], Awaitable[object]], completion_id: str) -> bool:
    try:
        await ask(completion_id)
    except CompletionNotFoundError:
        return False
    except ChatlakeError:
        return True  # this error does not mean that the completion is missing
    return True


def shared_list(lists: dict[str, list[str]]) -> Iterator[Check]:
    """Yield a warning for each source whose list begins with the completions of another source.

    `lists`: the first ids of each source, in the order of the configuration.
    """
    owner: dict[str, str] = {}
    for name, ids in lists.items():
        same = next((completion_id for completion_id in ids if completion_id in owner), None)
        if same is not None:
            yield warning(
                f"{name}: account",
                f"{owner[same]} and {name} list the same completions, e.g. {same}: everything is "
                "backed up and counted twice",
                "Remove one of them, or give each its own `select`.",
            )
        for completion_id in ids:
            owner.setdefault(completion_id, name)
