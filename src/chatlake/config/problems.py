"""The problems of a configuration, in words that its author understands.

A problem is one line: file, line, key path, the value as it is written, what is expected. Values
that are or may be secrets, and values from the environment, are never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from chatlake.config.document import Document, Location
from chatlake.config.expected import did_you_mean, expected
from chatlake.config.references import Text, without_keys
from chatlake.config.settings import Settings
from chatlake.errors import ConfigurationError

_LONGEST_KEY = 80
_MOST = 20
_UNKNOWN = object()
_HIDDEN = ("api_key", "headers", "query", "notify")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct; `unset` is the environment variable that would have to be set."""

    location: Location
    line: int
    text: str
    unset: str = ""


def key_path(location: Location) -> str:
    """`location` as people write it: `sources[0].pace.concurrency`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            key = without_keys(step)
            key = key if len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 1]}…"
            shown = key if key.isprintable() else ascii(key)
            path += f".{shown}" if path else shown
    return path or "the file"


def from_validation(error: ValidationError, document: Document) -> Iterator[Problem]:
    """The problems in `error`, which arose from `document.data`."""
    for entry in error.errors(include_url=False, include_input=False):
        location = _as_written(tuple(entry["loc"]), document)
        if entry["type"] == "extra_forbidden":
            yield Problem(location, document.line(location), _unknown_key(location))
        elif entry["type"] == "missing":
            text = "this key is required and missing"
            yield Problem(location, document.line(location), text)
        elif entry["type"] == "entries":
            for below, text in entry["ctx"]["entries"]:
                place = _as_written((*entry["loc"], *below), document)
                yield _wrong(place, text, document)
        else:
            is_key = location[-1:] == ("[key]",) and not isinstance(
                _value_at(location[:-1], document), dict
            )
            location = location[:-1] if is_key else location
            value = _value_at(location, document)
            if entry["type"] == "too_short" and value:
                continue  # pydantic does not count entries that have errors of their own
            text = expected(entry, _field(location), value, is_key=is_key)
            yield _wrong(location, text, document)


def _as_written(location: Location, document: Document) -> Location:
    """Leave out the steps that the file does not have: `notify` has short forms."""
    if location[:1] != ("notify",):
        return location
    value, written = document.data, list[str | int]()
    for step in location:
        has_step = (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        )
        if has_step:
            value = value[step]
            written.append(step)
    return tuple(written)


def as_error(problems: list[Problem], shown: str) -> ConfigurationError:
    """One error that lists `problems`, a line each, in the order of the file `shown`."""
    ordered = sorted(problems, key=lambda problem: problem.line)
    lines = [f"{shown}:{p.line}: {key_path(p.location)}: {p.text}" for p in ordered[:_MOST]]
    if len(ordered) > _MOST:
        lines.append(f"… and {len(ordered) - _MOST} more")
    unset = dict.fromkeys(p.unset for p in ordered if p.unset)
    hint = "; ".join(f"export {name}=…" for name in unset) if len(unset) == len(ordered) else None
    return ConfigurationError("\n".join(lines), hint=hint)


def _wrong(location: Location, text: str, document: Document) -> Problem:
    return Problem(location, document.line(location), f"got {_shown(location, document)}, {text}")


def _value_at(location: Location, document: Document) -> Any:
    value: Any = document.data
    for step in location:
        try:
            value = value[step]
        except (LookupError, TypeError):  # a key that is not Unicode: pydantic shows another one
            return _UNKNOWN
    return value


def _shown(location: Location, document: Document) -> str:
    value = _value_at(location, document)
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is _UNKNOWN or _is_hidden(location):
        return "a value (not shown)"
    if not isinstance(value, str):
        return str(value).lower()
    text = value.written if isinstance(value, Text) else value
    text = re.sub(r"://[^/]*@", "://…@", text)
    text = re.sub(r"(://[^?]*\?).*", r"\1…", text)
    text = without_keys(text)
    return repr(text if len(text) <= 60 else text[:59] + "…")


def _is_hidden(location: Location) -> bool:
    if location[:1] == ("notify",) and not {"format", "on"}.isdisjoint(location):
        return False
    return any(step in _HIDDEN for step in location)


def _unknown_key(location: Location) -> str:
    key = str(location[-1])
    sections = dict(_sections(Settings, ()))
    place = tuple(step for step in location[:-1] if isinstance(step, str))
    own = list(sections[place].model_fields)
    others = [
        path
        for path, model in sections.items()
        if key in model.model_fields and path[:1] != ("notify",)  # its keys have common names
    ]
    if others:
        where = ".".join(others[0]).replace("sources", "sources[…]")
        return f"unknown key; {key!r} belongs " + (
            f"under {where}" if where else "at the top level"
        )
    return "unknown key" + (did_you_mean(key, own) or f"; expected one of {', '.join(own)}")


def _field(location: Location) -> FieldInfo | None:
    """The field that holds the value at `location`: its own, or that of the list around it."""
    sections = dict(_sections(Settings, ()))
    place = tuple(step for step in location if isinstance(step, str))
    for end in range(len(place), 0, -1):
        section = sections.get(place[: end - 1])
        if section is not None:
            return section.model_fields.get(place[end - 1])
    return None


def _sections(
    model: type[BaseModel], place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    yield place, model
    for name, field in model.model_fields.items():
        for section in _models_in(field.annotation):
            yield from _sections(section, (*place, name))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections within the type of a field, however lists, choices and notes surround them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _models_in(part)
