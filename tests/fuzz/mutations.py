"""Damages documents: bytes changed, cut, repeated, joined; values of a JSON document replaced.

Every choice comes from the generator that is passed, so the same seed damages in the same way.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any, Final

MOST_BYTES: Final = 1 << 18
"""No damaged document is larger, so that a bound on the time of a parser means something."""

_TOKENS: Final = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"null", b"true", b"-", b"1e999", b"\\ud83d",
    b"\\u0000", b"\x00", b"\xff", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"9" * 400, b"1" * 20, b"NaN",
    b"data:image/png;base64,", b"chatlake-image:", b"://", b"<", b"<title>", b"&a [*a,*a]", b"${A}",
    b"\r\n", b"\x1b[2J", b"%", b"=", b";", b"sk-", b"\xe2\x80\xae", b"9999-12-31T23:59:60Z", b"-1",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 1e308, "", "x", "\u0000",
    "\ud83d", "0001-01-01", "9999-12-31T23:59:59.999999Z", "../../etc/passwd", "NaN", [], {}, [[]],
    [None], {"": None}, {"id": 7}, "data:image/png;base64,AAAA", "data:,", "chatlake-image:" + "0" * 64,
    "%00", "a" * 5000, [{}] * 50,
)  # fmt: skip


def damaged(document: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Return the document with one to four damages, at most `MOST_BYTES` long."""
    for _ in range(random.choice((1, 1, 2, 4))):
        document = random.choice(_DAMAGES)(document, random.choice(others), random)
    return document[:MOST_BYTES]


def damaged_values(document: bytes, random: Random) -> bytes:
    """Return a JSON document with one to four of its values or keys replaced, or left out."""
    value = json.loads(document)
    for _ in range(random.choice((1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            break
        holder, key = random.choice(places)
        kind = random.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[random.choice(("", "id", "data", "content", "type", "x" * 300))] = holder.pop(
                key
            )
        elif kind == 2:
            other_holder, other_key = random.choice(places)
            # A copy, because a value inside itself could not be written.
            holder[key] = json.loads(json.dumps(other_holder[other_key]))
        else:
            holder[key] = copy.deepcopy(random.choice(_VALUES))
    return json.dumps(value, ensure_ascii=random.random() < 0.5, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _places(value: Any) -> Any:
    """Yield each place in a JSON value: its object or array, and its key or index."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            items: Any = holder.items()
        elif isinstance(holder, list):
            items = enumerate(holder)
        else:
            continue
        for key, inner in items:
            yield holder, key
            waiting.append(inner)


def _slice(document: bytes, random: Random, most: int) -> tuple[int, int]:
    start = random.randint(0, len(document))
    return start, min(len(document), start + random.randint(0, most))


def _change(document: bytes, _: bytes, random: Random) -> bytes:
    if not document:
        return bytes([random.randrange(256)])
    place = random.randrange(len(document))
    byte = document[place] ^ 1 << random.randrange(8)
    return document[:place] + bytes([byte]) + document[place + 1 :]


def _insert(document: bytes, _: bytes, random: Random) -> bytes:
    start, end = _slice(document, random, random.choice((0, 0, 8)))
    return document[:start] + random.choice(_TOKENS) + document[end:]


def _cut(document: bytes, _: bytes, random: Random) -> bytes:
    start, end = _slice(document, random, 200)
    return document[:start] + document[end:]


def _end_early(document: bytes, _: bytes, random: Random) -> bytes:
    return document[: random.randint(0, len(document))]


def _join(document: bytes, other: bytes, random: Random) -> bytes:
    start, end = _slice(document, random, 2000)
    from_, to = _slice(other, random, 2000)
    return document[:start] + other[from_:to] + document[end:]


def _repeat(document: bytes, _: bytes, random: Random) -> bytes:
    """Repeat a short part many times: what takes more than linear time or memory shows here."""
    start, end = _slice(document, random, random.choice((1, 2, 8, 40)))
    part = document[start:end] or random.choice(_TOKENS)
    times = random.choice((2, 50, 2000, MOST_BYTES)) // len(part) + 1
    return document[:start] + part * times + document[end:]


_DAMAGES: Final = (_change, _change, _insert, _insert, _cut, _end_early, _join, _repeat)
