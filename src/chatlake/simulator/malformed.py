"""Objects that no server should send: a completion or a message, spoiled by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, get_args

MalformedAs = Literal[
    "no-id", "empty-id", "null-id", "number-id", "null", "number", "string", "array", "nan",
    "nan-row", "invalid-utf8", "deep", "duplicate-key", "duplicate-id", "mixed",
]  # fmt: skip
DEPTH: Final = 1_000_000  # Python 3.14 reads 200,000 levels where the stack has 8 MB
MIXED: Final = "mixed"
KINDS: Final = tuple(kind for kind in get_args(MalformedAs) if kind != MIXED)


def malformed(body: bytes, kind: str, name: bytes) -> bytes:
    """The JSON object `body`, whose id is `name`, spoiled as `kind` says.

    The rest of the object stays unchanged. Of a duplicate key, the true value comes last, because
    most readers take that one.
    """
    return _SPOILED[kind](body, b'"id":"%b"' % name)


def checked_kind(kind: str) -> str:
    """`kind`, if it is valid; ValueError lists the valid ones."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}")
    return kind


def _with_id(value: bytes) -> Callable[[bytes, bytes], bytes]:
    return lambda body, pair: _spaced(body).replace(pair, b'"id":' + value, 1)


def _whole(row: bytes) -> Callable[[bytes, bytes], bytes]:
    return lambda _body, _pair: row


def _with(member: bytes) -> Callable[[bytes, bytes], bytes]:
    return lambda body, _pair: b"{" + member + b"," + body[1:]


def _without_id(body: bytes, pair: bytes) -> bytes:
    body = _spaced(body)
    return body.replace(pair + b",", b"", 1) if pair + b"," in body else body.replace(pair, b"", 1)


def _with_duplicate_key(body: bytes, _pair: bytes) -> bytes:
    key = b"model" if b'"model":' in body else b"role"
    return b'{"%b":"first",%b' % (key, body[1:])


def _spaced(body: bytes) -> bytes:
    # As OGX, the simulator writes a space after the colon.
    return body.replace(b'"id": "', b'"id":"', 1)


_SPOILED: Final[dict[str, Callable[[bytes, bytes], bytes]]] = {
    "no-id": _without_id,
    "empty-id": _with_id(b'""'),
    "null-id": _with_id(b"null"),
    "number-id": _with_id(b"7"),
    "null": _whole(b"null"),
    "number": _whole(b"7"),
    "string": _whole(b'"a row"'),
    "array": _whole(b"[]"),
    "nan": _with(b'"score":NaN'),
    "nan-row": _whole(b"NaN"),
    "invalid-utf8": _with(b'"note":"\xff\xfe"'),
    "deep": _with(b'"note":' + b"[" * DEPTH + b"]" * DEPTH),
    "duplicate-key": _with_duplicate_key,
    "duplicate-id": _with(b'"id":"first"'),
}
