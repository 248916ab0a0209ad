"""The kinds of values that the configuration holds: what each accepts, and its JSON Schema.

A `Leaf` stands in `Annotated[type, Leaf(...)]`. Its `check` turns what YAML gave into the value
that the program uses, or raises ValueError with a text that begins with "expected".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from chatlake.config import durations, sizes
from chatlake.config.references import Text
from chatlake.config.suggestions import did_you_mean

_REFERENCE_SCHEMA = {"type": "string", "pattern": r"\$\{[^{}]+\}"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """How one kind of value is read (`check`), described (`schema`) and written (`dump`).

    `expands`: in the file the value may also be a text with `${NAME}` in it.
    """

    check: Callable[[Any], Any]
    schema: dict[str, Any] = field(hash=False)
    dump: Callable[[Any], Any] | None = None
    expands: bool = True

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        dump = self.dump
        return core_schema.no_info_plain_validator_function(
            self.check,
            serialization=dump and core_schema.plain_serializer_function_ser_schema(dump),
        )

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if self.expands and self.schema.keys() != {"type"}:
            return {"anyOf": [self.schema, _REFERENCE_SCHEMA]}
        return dict(self.schema)


def text_of(value: object, expected: str) -> str:
    """`value` if it is text; raises ValueError that says `expected` otherwise."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("expected valid Unicode text")
        return str(value)
    quotes = "; put the value in quotes" if isinstance(value, int | float) else ""
    raise ValueError(f"expected {expected}{quotes}")


def words(expected: str, pattern: str, *, expands: bool = True, never: Sequence[str] = ()) -> Leaf:
    """Text that `pattern` matches as a whole; `never`: names of folders that mean nothing."""
    shape = re.compile(pattern)
    schema: dict[str, Any] = {"type": "string", "pattern": pattern}
    if never:
        schema["not"] = {"enum": list(never)}

    def check(value: object) -> str:
        text = text_of(value, expected)
        if not shape.fullmatch(text):
            raise ValueError(f"expected {expected}")
        if text in never:
            raise ValueError("expected another name: other tools read this one as a missing value")
        return text

    return Leaf(check, schema, expands=expands)


def whole_number(lowest: int, highest: int) -> Leaf:
    """A whole number between two bounds, both included."""

    def check(value: object) -> int:
        if isinstance(value, Text) and value.isdecimal():
            value = int(value) if len(value) < 20 else None  # it came out of the environment
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError(f"expected a whole number from {lowest} to {highest}")
        return value

    return Leaf(check, {"type": "integer", "minimum": lowest, "maximum": highest})


def yes_or_no() -> Leaf:
    """True or false."""

    def check(value: object) -> bool:
        if isinstance(value, Text) and value in ("true", "false"):
            return value == "true"  # it came out of the environment
        if not isinstance(value, bool):
            raise ValueError("expected true or false")
        return value

    return Leaf(check, {"enum": [True, False]})


def choice(*options: str) -> Leaf:
    """One of a few words."""

    def check(value: object) -> str:
        if isinstance(value, str) and value in options:
            return str(value)
        listed = ", ".join(options[:-1]) + " or " + options[-1]
        raise ValueError(f"expected {listed}{did_you_mean(value, options)}")

    return Leaf(check, {"enum": list(options)})


def duration(*, zero: bool = False) -> Leaf:
    """A duration; `zero` permits `0s`."""

    def check(value: object) -> timedelta:
        if isinstance(value, timedelta):
            found = value
        elif isinstance(value, str):
            found = durations.parse_duration(value)
        else:
            number = isinstance(value, int) and not isinstance(value, bool)
            unit = f"; a number needs a unit: write {value}s or {value}h" if number else ""
            raise ValueError(f"expected {durations.EXPECTED}{unit}")
        if found < timedelta(0) or (not zero and not found):
            raise ValueError("expected a duration of more than 0s")
        return found

    schema: dict[str, Any] = {"type": "string", "pattern": durations.PATTERN}
    if not zero:
        schema["not"] = {"pattern": r"^(0+[a-z]+)+$"}
    return Leaf(check, schema, durations.format_duration)


def size() -> Leaf:
    """A size in bytes."""

    def check(value: object) -> int:
        if not isinstance(value, str):
            number = isinstance(value, int) and not isinstance(value, bool)
            alone = f"; a number needs a unit: write {value}MiB" if number else ""
            raise ValueError(f"expected {sizes.EXPECTED}{alone}")
        return sizes.parse_size(value)

    schema: dict[str, Any] = {"type": "string", "pattern": sizes.PATTERN}
    return Leaf(check, schema, sizes.format_size)


def format_version(known: int) -> Leaf:
    """The version of the file's format; a newer one asks for a newer chatlake."""

    def check(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            if value == known:
                return value
            if value > known:
                raise ValueError(f"expected {known}, the newest known here; upgrade chatlake")
        raise ValueError(f"expected {known}")

    return Leaf(check, {"const": known}, expands=False)


class EmptyIsDefault:
    """Marks a section that is as if left out when its key stands there with nothing under it."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: {} if value is None else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "null"}]}


EMPTY_IS_DEFAULT = EmptyIsDefault()
