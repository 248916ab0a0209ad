"""The bodies that the bench server sends, made before the first request.

They are the simulator's, or those of a mix (`bench.mixes`).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from bench.mixes import Record
from chatlake.simulator.pictures import photo_url
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.world import World

PAGE_LIMIT = 100
_PAGE = b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b,"has_more":%b}'
_PHOTO = re.compile(rb"data:image/png;base64,[A-Za-z0-9+/=]{10000,}")  # a logo is smaller


class _Completion(msgspec.Struct):
    choices: list[msgspec.Raw]


_COMPLETION = msgspec.json.Decoder(_Completion)


def page(items: list[bytes], ids: list[str], *, has_more: bool) -> bytes:
    """Return one page of a list as the API writes it."""
    first = json.dumps(ids[0] if ids else None).encode()
    last = json.dumps(ids[-1] if ids else None).encode()
    return _PAGE % (b",".join(items), first, last, b"true" if has_more else b"false")


def enlarged(message: bytes, photo: bytes) -> bytes:
    """Return a message with this picture, a `data:` URL, instead of its photographs.

    Each differs from the others in some bytes. The simulator draws mostly small ones, and few of
    the requested size.
    """

    def another(match: re.Match[bytes]) -> bytes:
        mark = b"%012d" % zlib.crc32(match[0])
        middle = len(photo) // 2
        return photo[:middle] + mark + photo[middle + len(mark) :]

    return _PHOTO.sub(another, message)


def simulated(scenario: Scenario, photo_bytes: int | None = None) -> Iterator[Record]:
    """Yield the simulator's completions; with `photo_bytes` every photograph has that size."""
    world = World(scenario)
    photo = photo_url(1, photo_bytes) if photo_bytes else None
    for index in range(world.total):
        messages = world.messages(index, range(world.message_count(index)))
        if photo is not None:
            messages = [enlarged(body, photo) for body in messages]
        yield Record(world.identifier(index).decode(), world.completion(index), messages)


@dataclass(slots=True)
class Bodies:
    """Everything that can be asked for, made before the first request.

    `completions` and `ids` in list order; `messages`: completion id -> its message objects;
    `counts`: messages, choices and bytes of the completion and those before it.
    """

    ids: list[str] = field(default_factory=list)
    completions: list[bytes] = field(default_factory=list)
    messages: dict[str, list[bytes]] = field(default_factory=dict)
    first_pages: dict[str, bytes] = field(default_factory=dict)
    counts: list[tuple[int, int, int]] = field(default_factory=list)

    def facts(self, count: int) -> dict[str, int]:
        """Describe the first `count` completions, to check that all of them were fetched."""
        counted = self.counts[count - 1] if count else (0, 0, 0)
        names = ("messages", "choices", "bytes")
        return {"completions": count, **dict(zip(names, counted, strict=True))}

    @classmethod
    def of(cls, records: Iterable[Record]) -> Bodies:
        """Make the bodies of some completions, oldest first."""
        bodies = cls()
        for name, completion, messages in records:
            bodies.ids.append(name)
            bodies.completions.append(completion)
            if len(messages) > PAGE_LIMIT:
                bodies.messages[name] = messages
            else:
                ids = [f"{name}-{number}" for number in range(len(messages))]
                bodies.first_pages[name] = page(messages, ids, has_more=False)
            choices = len(_COMPLETION.decode(bodies.completions[-1]).choices)
            before = bodies.counts[-1] if bodies.counts else (0, 0, 0)
            size = len(bodies.completions[-1]) + sum(map(len, messages))
            bodies.counts.append((before[0] + len(messages), before[1] + choices, before[2] + size))
        return bodies

    def messages_page(self, name: str, after: str | None, limit: int) -> bytes | None:
        """Return a page of messages; None where there is no such completion."""
        whole = self.first_pages.get(name)
        if whole is not None:
            return whole if after is None else page([], [], has_more=False)
        messages = self.messages.get(name)
        if messages is None:
            return None
        start = 0 if after is None else int(after.rpartition("-")[2]) + 1
        end = min(start + limit, len(messages))
        ids = [f"{name}-{number}" for number in range(start, end)]
        return page(messages[start:end], ids, has_more=end < len(messages))
