"""Careful reading of single values: a field may hold anything, a column holds one type or NULL."""

from __future__ import annotations

import json

import msgspec

from chatlake.model.json_text import SentObject
from chatlake.model.objects import NULL

_INT64 = 1 << 63
_INT32 = 1 << 31


def text_or_none(value: object) -> str | None:
    """Return a string unchanged, NULL as None, anything else as its JSON text."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def int_or_none(value: object) -> int | None:
    """Return a whole number of at most 64 bits, signed; None for anything else."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -_INT64 <= value < _INT64 else None


def index_or_none(value: object) -> int | None:
    """Return a whole number that can number things, from 0 to below 2**31; None for any other."""
    number = int_or_none(value)
    return number if number is not None and 0 <= number < _INT32 else None


def float_or_none(value: object) -> float | None:
    """Return a number as a float; None for anything else."""
    if value is None or type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def is_strict_json(text: str) -> bool:
    """Whether a text is JSON by RFC 8259: no trailing comma, no NaN, whatever its numbers' size."""
    try:
        json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def entry(value: object, *path: str) -> object:
    """Follow keys into nested objects; None if one is missing or not an object."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def json_column(key: str, text: bytes, within: SentObject) -> str | None:
    """Return the JSON text of a member of an object, as it was sent; None for null."""
    return None if text == NULL else within.member(key, text).valid_text().decode()


def invalid_argument_calls(tool_calls: bytes) -> list[int] | None:
    """Return the positions of the tool calls whose arguments are not JSON; None without any.

    None also if the calls cannot be read. This is decided here, because DuckDB accepts more than
    RFC 8259 allows.
    """
    if tool_calls[:1] != b"[":
        return None
    try:
        calls = msgspec.json.decode(tool_calls)
    except (msgspec.MsgspecError, RecursionError):
        return None
    invalid = []
    for index, call in enumerate(calls):
        arguments = entry(call, "function", "arguments")
        text = entry(call, "custom", "input") if arguments is None else arguments
        if isinstance(text, str) and not is_strict_json(text):
            invalid.append(index)
    return invalid or None


def pairs(metadata: object) -> list[tuple[str, str | None]] | None:
    """Return an object as (key, text) pairs; None for anything else."""
    if not isinstance(metadata, dict):
        return None
    return [(key, text_or_none(value)) for key, value in metadata.items()]
