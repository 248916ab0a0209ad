"""Fields of the API's objects that this chatlake does not know: they are kept in `raw` alone.

An API gets new fields without notice. They are stored in `raw`, like everything that it sends, but
nobody would see them there. So each stored object is compared with the fields that are known: those
with a column, and those that belong in `raw` only.

This must cost next to nothing. A decoder that refuses unknown fields reads an object in one pass,
without decoding its values. Only if it refuses are the objects looked at key by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import GenericAlias
from typing import Any, Final, TypeVar

import msgspec

from chatlake.model.api_keys import KEYS
from chatlake.model.content import FROM_CONTENT, FROM_PARTS
from chatlake.model.objects import Completion, Message
from chatlake.model.outside_text import one_line

MOST: Final = 100
"""How many fields are named, at most, of one completion and of one source.

A server may send new ones endlessly.
"""
LONGEST: Final = 80
"""Characters of a key in a field's name."""
FURTHER: Final = "(further fields)"
"""Stands for all fields of a source after the first `MOST`."""

_DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details")

T = TypeVar("T")


def _strict(kind: str, **nested: Any) -> Any:
    """Return a struct type that refuses unknown keys; what is not nested is skipped unread."""
    fields = [
        (key, nested.get(key, msgspec.Raw), msgspec.field(default=None)) for key in KEYS[kind]
    ]
    return msgspec.defstruct(f"_{kind}", fields, forbid_unknown_fields=True, gc=False)


def _list_of(kind: Any) -> Any:
    return GenericAlias(list, (kind,)) | None


_Part: Final = _strict("part")
_Reply: Final = _strict("message", content=_list_of(_Part) | str, content_parts=_list_of(_Part))
_Choice: Final = _strict("choice", message=_Reply | None)
_Usage: Final = _strict("usage", **{name: _strict(name) | None for name in _DETAILS})
_COMPLETION: Final = msgspec.json.Decoder(
    _strict("completion", choices=_list_of(_Choice), usage=_Usage | None)
)
_MESSAGE: Final = msgspec.json.Decoder(_Reply)
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])


def unknown_fields(completion: Completion, messages: Iterable[Message] = ()) -> list[str]:
    """Return the fields of a completion and its messages that are not known, each once.

    At most `MOST`, in the order in which they were sent, with their place: `usage.cost`,
    `choices[].message.mood`, `messages[].content_parts[].depth`.
    """
    found: dict[tuple[str, str], None] = {}
    if _has_unknown(_COMPLETION, completion.sent.clean):
        _take(found, _of_completion(completion.sent.clean))
    for message in messages:
        if _has_unknown(_MESSAGE, message.sent.clean):
            _take(found, _of_message("messages[]", message.sent.clean))
    return list(dict.fromkeys(_name(place, key) for place, key in found))


def is_known(field: str) -> bool:
    """Say whether this chatlake knows a field that an earlier one found to be new."""
    place, _, key = field.rpartition(".")
    return key in KEYS.get(_KINDS.get(place, ""), ())


_KINDS: Final = {
    "": "completion",
    "usage": "usage",
    **{f"usage.{name}": name for name in _DETAILS},
    "choices[]": "choice",
    "choices[].message": "message",
    "choices[].message.content_parts[]": "part",
    "choices[].message.content[]": "part",
    "messages[]": "message",
    "messages[].content_parts[]": "part",
    "messages[].content[]": "part",
}
"""Place of an object, as fields name it -> its kind."""


def _has_unknown(decoder: msgspec.json.Decoder[Any], text: bytes) -> bool:
    """Say whether an object may have unknown fields; True also if its shape is unusual."""
    try:
        decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return True
    return False


def _take(found: dict[tuple[str, str], None], fields: Iterator[tuple[str, str]]) -> None:
    for field in fields:
        if len(found) >= MOST:
            return
        found[field] = None


def _name(place: str, key: str) -> str:
    name = one_line(key[: 4 * LONGEST], length=LONGEST) or "(no name)"
    return f"{place}.{name}" if place else name


def _of_completion(text: bytes) -> Iterator[tuple[str, str]]:
    found = _object(text)
    yield from _unknown("", found)
    usage = _object(found.get("usage"))
    yield from _unknown("usage", usage)
    for name in _DETAILS:
        yield from _unknown(f"usage.{name}", _object(usage.get(name)))
    for choice in _array(found.get("choices")):
        said = _object(choice)
        yield from _unknown("choices[]", said)
        if "message" in said:
            yield from _of_message("choices[].message", said["message"])


def _of_message(place: str, text: bytes | msgspec.Raw) -> Iterator[tuple[str, str]]:
    found = _object(text)
    yield from _unknown(place, found)
    for key in (FROM_PARTS, FROM_CONTENT):
        for part in _array(found.get(key)):
            yield from _unknown(f"{place}.{key}[]", _object(part))


def _unknown(place: str, found: dict[str, msgspec.Raw]) -> Iterator[tuple[str, str]]:
    known = KEYS[_KINDS[place]]
    for key in found:
        if key not in known:
            yield place, key


def _object(text: bytes | msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    return _read(_OBJECT, text, {})


def _array(text: bytes | msgspec.Raw | None) -> list[msgspec.Raw]:
    return _read(_ARRAY, text, [])


def _read(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw | None, empty: T) -> T:
    if text is None:
        return empty
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return empty
