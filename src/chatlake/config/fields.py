"""The kinds of values that the configuration holds: what each accepts, and its JSON Schema.

Choices and bounds are pydantic's own (`Literal`, `Field(ge=…, le=…)`); `EXPANDS` beside them lets
the file say `${NAME}` instead. Kinds that pydantic does not know have a `Leaf`, in `Annotated[type,
Leaf(...)]`. Its `check` turns what YAML gave into the value that the program uses, or raises
ValueError with a text that begins with "expected".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticUseDefault, core_schema

from chatlake.config import durations, sizes
from chatlake.config.references import Text

_REFERENCE_SCHEMA = {"type": "string", "pattern": r"\$\{[^{}]+\}"}


class Section(BaseModel):
    """The base of all parts of the configuration: frozen, no unknown keys.

    A part's validator is built when it is first used: most are used only within `Settings`. So
    defaults come from `model_construct`, which uses none.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )


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
    """Text that `pattern` matches completely; `never`: reserved folder names."""
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


def days() -> Leaf:
    """A duration of whole days. `2m` is refused: it may mean months, and would be minutes."""

    def check(value: object) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if not isinstance(value, str) or not re.fullmatch(durations.DAYS_PATTERN, value, re.ASCII):
            raise ValueError(f"expected {durations.EXPECTED_DAYS}")
        found = durations.parse_duration(value)
        if not found:
            raise ValueError("expected a duration of at least 1d")
        return found

    schema: dict[str, Any] = {
        "type": "string",
        "pattern": durations.DAYS_PATTERN,
        "not": {"pattern": r"^(0+[a-z]+)+$"},
    }
    return Leaf(check, schema, durations.format_duration)


def duration_field(default: str, description: str) -> Any:
    """The field of a duration; the JSON Schema shows `default` as it is written here."""
    value = durations.parse_duration(default)
    return Field(default=value, description=description, json_schema_extra={"default": default})


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


class EmptyIsDefault:
    """Marks a key that counts as left out if it is present but empty."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_default_of_empty, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "null"}]}


class Expands:
    """Marks a choice, a number or a truth value that may also be written `${NAME}`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_from_environment, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        inner = handler(schema)
        return {"anyOf": [*inner.get("anyOf", [inner]), _REFERENCE_SCHEMA]}


def _default_of_empty(value: Any) -> Any:
    if value is None:
        raise PydanticUseDefault
    return value


def _from_environment(value: Any) -> Any:
    """The number or truth value in a text from the environment."""
    if isinstance(value, Text):
        if value.isdecimal() and len(value) < 20:
            return int(value)
        return {"true": True, "false": False}.get(value, value)
    return value


EMPTY_IS_DEFAULT = EmptyIsDefault()
EXPANDS = Expands()
