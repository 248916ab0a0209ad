"""Values of a result as text: for tables, CSV and JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number", uuid_format="canonical")
_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)


def as_text(value: Any) -> str:
    """Return a value as text: times ISO 8601, lists and maps as JSON, bytes base64."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict):
        return as_json(value).decode()
    return _TEXT.get(type(value), str)(value)


def as_json(value: Any, *, is_json: bool = False) -> bytes:
    """Return a value as JSON; `is_json`: it is the text of a JSON column, to be inserted unchanged.

    Numbers are exact, infinities and NaN are null, bytes are base64.
    """
    return _ENCODER.encode(_nested(value) if is_json else plain(value))


def plain(value: Any) -> Any:
    """Return a value that the encoder writes exactly."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {as_text(key): plain(item) for key, item in value.items()}
    convert = _PLAIN.get(type(value))
    return value if convert is None else convert(value)


def _nested(value: Any) -> Any:
    if not isinstance(value, str):
        return plain(value)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value
    # A line break can only be between the values: within texts, JSON escapes it.
    return msgspec.Raw(value.replace("\n", " ").replace("\r", " ").encode())


def _iso(moment: datetime) -> str:
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def _whole(number: int) -> Any:
    fits = _SMALLEST <= number <= _LARGEST
    return number if fits else msgspec.Raw(str(number).encode())


_TEXT: Final[dict[type, Callable[[Any], str]]] = {
    bool: lambda value: "true" if value else "false",
    bytes: lambda value: base64.b64encode(value).decode(),
    date: date.isoformat,
    datetime: _iso,
    time: time.isoformat,
    timedelta: lambda value: as_json(value).decode().strip('"'),
}
_PLAIN: Final[dict[type, Callable[[Any], Any]]] = {
    datetime: _iso,
    float: lambda value: value if math.isfinite(value) else None,
    int: _whole,
}
