"""Mappings and lists whose entries the user names: headers, query, metadata, ids.

Their problems are reported entry by entry: `entries_error` carries them to the loader.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chatlake.config.fields import EMPTY_IS_DEFAULT, Leaf, text_of
from chatlake.config.ids import ID_PATTERN, is_id
from chatlake.config.references import (
    ENV_NAME,
    REFERENCE,
    SECRET_EXPECTED,
    SecretReference,
    Text,
    is_secret_reference,
    looks_like_key,
)

SECRET_WORDS = (
    "authorization", "key", "token", "secret", "password", "cookie", "credential", "signature",
)  # fmt: skip
RESERVED = ("after", "limit", "order", "model")

_SECRET_NAME = re.compile("|".join(SECRET_WORDS), re.IGNORECASE)
_TOKEN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"  # noqa: S105  RFC 9110, 5.6.2
_WITH_SCHEME = re.compile(rf"(?P<scheme>[A-Za-z][A-Za-z-]*) (?P<reference>{REFERENCE})")
_CREDENTIALS = re.compile(r"(?:bearer|basic)\s", re.IGNORECASE)
_SHELL_VARIABLE = re.compile(rf"\${ENV_NAME}")
_VISIBLE = r"^[ -~]*$"


def is_secret_name(name: str) -> bool:
    """Whether a header or query parameter of this name carries a secret."""
    return _SECRET_NAME.search(name) is not None


def keeps_reference(name: str, text: str) -> bool:
    """Whether header or parameter `name` keeps its reference in `text` until it is sent."""
    return is_secret_name(name) or is_secret_reference(text) or _carries_credentials(text)


def _carries_credentials(text: str) -> bool:
    return _CREDENTIALS.match(text) is not None


def entries_error(*found: tuple[tuple[str | int, ...], str]) -> PydanticCustomError:
    """The error that carries problems (location, text) of values below the checked one."""
    return PydanticCustomError("entries", "expected other entries", {"entries": found})


def _mapping(
    check: Callable[[str, object], Any], expected: str
) -> Callable[[object], dict[str, Any]]:
    def read(value: object) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ValueError(f"expected {expected}")
        result, problems = {}, []
        for name, entry in value.items():
            try:
                result[name] = check(name, entry)
            except ValueError as problem:
                problems.append(((name,), str(problem)))
        if problems:
            raise entries_error(*problems)
        return result

    return read


def _sent(name: str, value: object) -> str | SecretReference:
    """The value of header or parameter `name`: text, or the reference to a secret."""
    if isinstance(value, SecretReference):
        return value
    text = text_of(value, "text")
    if is_secret_reference(text):
        return SecretReference.parse(value if isinstance(value, Text) else text)
    if _SHELL_VARIABLE.fullmatch(text):
        raise ValueError(f"expected ${{{text[1:]}}} instead of {text}, with braces")
    if is_secret_name(name) or _carries_credentials(text):
        return _with_scheme(value if isinstance(value, Text) else text)
    if looks_like_key(text):
        raise ValueError(f"expected {SECRET_EXPECTED}; a literal key is refused")
    if not re.fullmatch(_VISIBLE, text):
        raise ValueError("expected text of printable ASCII characters")
    return value if isinstance(value, Text) else text  # it remembers its references


def _with_scheme(text: str) -> SecretReference:
    found = _WITH_SCHEME.fullmatch(text)
    if found is None:
        return SecretReference.parse(text)
    where = text.where if isinstance(text, Text) else ""
    inner = SecretReference.parse(Text(found["reference"], written=found["reference"], where=where))
    return SecretReference(inner.kind, inner.name, found["scheme"] + " ", where)


def _header(name: str, value: object) -> str | SecretReference:
    if not re.fullmatch(_TOKEN, name):
        raise ValueError("expected the name of a header, without spaces or colons")
    return _sent(name, value)


def _parameter(name: str, value: object) -> str | SecretReference:
    if name in RESERVED or name.startswith("metadata"):
        raise ValueError("expected a parameter that chatlake does not set itself; see select")
    if not name.strip():
        raise ValueError("expected the name of a parameter")
    return _sent(name, value)


def _headers(value: object) -> dict[str, str | SecretReference]:
    read: dict[str, str | SecretReference] = _mapping(_header, "a mapping of header names")(value)
    seen: dict[str, str] = {}
    for name in read:
        if name.lower() in seen:
            first = seen[name.lower()]
            raise entries_error(((name,), f"expected each header once; {first!r} is above"))
        seen[name.lower()] = name
    return read


def _id(value: object) -> str:
    if isinstance(value, str) and is_id(value):
        return str(value)
    quotes = "" if isinstance(value, str) else ", in quotes"
    raise ValueError(f"expected a completion id: one word{quotes}")


def _dump(entries: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in entries.items()}


_ANY_CASE = "|".join("".join(f"[{c.upper()}{c}]" for c in word) for word in SECRET_WORDS)
_SENT_SCHEMA: dict[str, Any] = {
    "type": ["object", "null"],
    "patternProperties": {
        _ANY_CASE: {
            "type": "string",
            "pattern": rf"^(?:[A-Za-z][A-Za-z-]* )?{REFERENCE}$",
        }
    },
    "additionalProperties": {
        "type": "string",
        "pattern": _VISIBLE,
        "not": {"pattern": f"^{_SHELL_VARIABLE.pattern}$"},
    },
}
HEADERS = Leaf(
    _headers, {**_SENT_SCHEMA, "propertyNames": {"pattern": _TOKEN}}, _dump, expands=False
)
QUERY = Leaf(
    _mapping(_parameter, "a mapping of parameter names"),
    {**_SENT_SCHEMA, "propertyNames": {"pattern": rf"^(?!({'|'.join(RESERVED)})$|metadata).*\S"}},
    _dump,
    expands=False,
)
Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(strict=True, max_length=512)],
    ],
    Field(max_length=16),  # as many pairs as a completion can have
    EMPTY_IS_DEFAULT,
]
Ids = Annotated[
    tuple[Annotated[str, Leaf(_id, {"type": "string", "pattern": ID_PATTERN}, expands=False)], ...],
    Field(title="completion ids"),
    AfterValidator(lambda ids: tuple(dict.fromkeys(ids))),
    EMPTY_IS_DEFAULT,
]
