"""What pydantic expected of a value, in our words and with everything that it accepts.

pydantic names the one bound or choice that a value broke, in its own words. The texts here come
from the same declarations, but name all of them: `expected a whole number from 1 to 1024`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_WHOLE_NUMBER = ("int_type", "int_parsing_size", "greater_than_equal", "less_than_equal")
_TEXTS = {
    "model_type": "a mapping",
    "dict_type": "a mapping of names to texts",
    "bool_type": "true or false",
    "string_type": "text",
    "string_unicode": "valid Unicode text",
}


def expected(error: ErrorDetails, field: FieldInfo | None, value: object, *, is_key: bool) -> str:
    """What was expected instead of `value`, beginning with "expected".

    `field` declares the value or the mapping or list that it is in. With `is_key` the error is
    about the name of an entry, and `value` is what the entry holds.
    """
    context: Mapping[str, Any] = error.get("ctx", {})
    if "error" in context:  # our own, out of a Leaf
        return str(context["error"])
    kind = error["type"]
    text = _TEXTS.get(kind, "another value")
    if kind == "string_type" and isinstance(value, int | float):
        text = "text; put the value in quotes"
    elif kind.endswith(("too_long", "too_short")):
        text = _length(kind, context, is_key=is_key)
    elif field is not None and kind == "tuple_type":
        text = f"a list of {field.title}"
    elif field is not None and kind == "literal_error":
        text = _choice(field, value)
    elif field is not None and kind in _WHOLE_NUMBER:
        text = _whole_number(field)
    return f"expected {text}"


def choices(field: FieldInfo) -> list[str]:
    """The words that `field`, or an entry of it, accepts."""
    options = get_args(field.annotation)
    if options[-1:] == (...,):  # of a list: what an entry may be
        options = get_args(options[0])
    return [str(option) for option in options]


def bounds(field: FieldInfo) -> tuple[str, str]:
    """The least and the greatest number that `field` accepts."""
    (lowest,) = (str(bound.ge) for bound in field.metadata if hasattr(bound, "ge"))
    (highest,) = (str(bound.le) for bound in field.metadata if hasattr(bound, "le"))
    return lowest, highest


def _choice(field: FieldInfo, value: object) -> str:
    *options, last = choices(field)
    return f"{', '.join(options)} or {last}{did_you_mean(value, [*options, last])}"


def _whole_number(field: FieldInfo) -> str:
    lowest, highest = bounds(field)
    return lowest if lowest == highest else f"a whole number from {lowest} to {highest}"


def _length(kind: str, context: Mapping[str, Any], *, is_key: bool) -> str:
    most, least = context.get("max_length"), context.get("min_length")
    bound = most if kind.endswith("too_long") else least
    unit = "character" if kind.startswith("string") else "entry"
    units = unit if bound == 1 else unit.replace("entry", "entrie") + "s"
    count = f"at {'most' if bound == most else 'least'} {'one' if bound == 1 else bound} {units}"
    return f"a key of {count}" if is_key else count


def nearest(word: object, options: Iterable[str]) -> str | None:
    """The option that `word` most likely meant (case, `-` and `_` don't count), or None."""
    plain = {option.lower().replace("-", "_"): option for option in options}
    wanted = str(word).lower().replace("-", "_")
    found = get_close_matches(wanted, plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def did_you_mean(word: object, options: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest option, or nothing."""
    found = nearest(word, options)
    return f"; did you mean {found!r}?" if found else ""
