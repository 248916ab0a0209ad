"""`redact`: what never reaches the lake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from chatlake.config import entries, places
from chatlake.config.fields import EMPTY_IS_DEFAULT, EXPANDS, Leaf, Section, text_of
from chatlake.config.references import SecretLoader, SecretReference
from chatlake.errors import ConfigurationError
from chatlake.model.counts import count
from chatlake.model.redaction.patterns import LONGEST_EXPRESSION, own_pattern
from chatlake.model.redaction.places import steps_of

if TYPE_CHECKING:
    from chatlake.model.redaction.rules import Redaction

SHORTEST_KEY = 16
_NAME = r"^[a-z0-9_-]{1,64}$"
_TAKEN = ("email", "phone", "card", "iban", "keys", "image", "dropped", "hashed", "number")


def _path(value: object) -> str:
    path = text_of(value, "a path of keys such as metadata.email")
    steps_of(path)
    return path


PATH = Leaf(_path, {"type": "string", "pattern": r"^[^.*].*[^.]$|^[^.*]$"}, expands=False)
Paths = Annotated[tuple[Annotated[str, PATH], ...], Field(title="paths"), EMPTY_IS_DEFAULT]


def _expressions(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("expected a mapping of names to regular expressions")
    problems = []
    for name, text in value.items():
        try:
            own_pattern(_name(name), text_of(text, "a regular expression"))
        except ValueError as problem:
            problems.append(((name,), str(problem)))
    if problems:
        raise entries.entries_error(*problems)
    return {name: str(text) for name, text in value.items()}


def _name(name: object) -> str:
    if name in _TAKEN:
        raise ValueError("expected another name: chatlake uses this one itself")
    text = text_of(name, "a name")
    if not re.fullmatch(_NAME, text):
        raise ValueError("expected a name of a-z, 0-9, _ and -, at most 64 long")
    return text


EXPRESSIONS = Leaf(
    _expressions,
    {
        "type": ["object", "null"],
        "propertyNames": {"pattern": _NAME, "not": {"enum": list(_TAKEN)}},
        "additionalProperties": {
            "type": "string", "minLength": 1, "maxLength": LONGEST_EXPRESSION,
        },
    },
    dict,
    expands=False,
)  # fmt: skip


class Redact(Section):
    """What to replace before anything is written. What is already in a lake stays there."""

    drop: Paths = Field(
        default=(),
        description="Fields that become null, such as input_user, metadata.email or messages.name.",
        examples=[["metadata.email"]],
    )
    hash: Paths = Field(
        default=(),
        description="Fields that become a hash under `hash_key`: equal values stay equal.",
        examples=[["input_user"]],
    )
    hash_key: Annotated[SecretReference, places.SECRET] | None = Field(
        default=None,
        description="Where to find the key of the hashes, at least 16 characters: ${NAME}, "
        "file:/PATH or secret:NAME (Prefect). Another key gives other hashes.",
        examples=["${CHATLAKE_HASH_KEY}"],
    )
    patterns: Annotated[
        tuple[Literal["email", "phone", "card", "iban", "keys"], ...],
        Field(title="patterns"),
        EMPTY_IS_DEFAULT,
    ] = Field(
        default=(),
        description="What to look for in all texts. `card` and `iban` need the right check "
        "digits; `keys` are API keys, tokens and private keys.",
        examples=[["email", "card", "keys"]],
    )
    expressions: Annotated[Mapping[str, str], EXPRESSIONS] = Field(
        default={},
        description="Your own regular expressions in RE2's syntax, each with a name for its "
        "marker. They need chatlake[redact].",
        examples=[{"employee": "EMP-[0-9]{6}"}],
    )
    images: Annotated[Literal["keep", "drop"], EXPANDS] = Field(
        default="keep", description="drop: neither images nor their links reach the lake."
    )

    @model_validator(mode="after")
    def _key(self) -> Redact:
        if self.hash and self.hash_key is None:
            problem = "expected hash_key beside it: the hashes need a key"
            raise entries.entries_error((("hash",), problem))
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is redacted."""
        return not (
            self.drop or self.hash or self.patterns or self.expressions or self.images == "drop"
        )

    def ready(self, secret_loader: SecretLoader | None = None) -> Redaction | None:
        """Return the rules with their key; None where nothing is redacted.

        ConfigurationError where the key cannot be read or is too short.
        """
        if self.is_empty:
            return None
        from chatlake.model.redaction.rules import (  # noqa: PLC0415 - not to read a lake
            Redaction,
            RuleTexts,
        )

        return Redaction(
            RuleTexts(
                drop=self.drop,
                hash=self.hash,
                patterns=self.patterns,
                expressions=self.expressions,
                drops_images=self.images == "drop",
                key=self._resolved_key(secret_loader),
            )
        )

    def _resolved_key(self, secret_loader: SecretLoader | None) -> str:
        if self.hash_key is None or not self.hash:
            return ""
        key = self.hash_key.resolve(secret_loader)
        if len(key) < SHORTEST_KEY:
            where = f"{self.hash_key.where}: " if self.hash_key.where else ""
            raise ConfigurationError(
                f"{where}{self.hash_key} has {count(len(key), 'character')}, "
                f"not {SHORTEST_KEY} or more",
                hint="A short key can be guessed. Make one: openssl rand -hex 32",
            )
        return key
