"""References to values outside the configuration: `${NAME}`, `secret:NAME`, `file:/PATH`.

Two kinds of values refer to something else:

- A *secret* (`api_key`, a header that carries one) is kept as a `SecretReference`: it is read
  when it is needed, and never stored in the settings.
- Any other text is expanded once, when the file is loaded. `$${` stands for a plain `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from chatlake.config.secret_files import secret_in_file
from chatlake.errors import ConfigurationError
from chatlake.model.outside_text import note_secret

_WRITTEN = {"env": "${{{}}}", "file": "file:{}", "prefect": "secret:{}"}

SecretLoader = Callable[[str], str]
"""Returns the value of a Prefect Secret block; LookupError or ValueError if there is none."""

ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
BLOCK_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
FILE_NAME = rf"(?:~?/|\$\{{{ENV_NAME}\}}/)[^\x00-\x1f\x7f]+"
REFERENCE = rf"(?:\$\{{{ENV_NAME}\}}|secret:{BLOCK_NAME}|file:{FILE_NAME})"
SECRET_PATTERN = rf"^{REFERENCE}$"
SECRET_EXPECTED = (
    "a reference alone: ${NAME} for an environment variable, "  # noqa: S105  no secret
    "file:/PATH for a file or secret:NAME for a Prefect Secret"
)

_SECRET = re.compile(
    rf"\$\{{(?P<env>{ENV_NAME})\}}|secret:(?P<prefect>{BLOCK_NAME})|file:(?P<file>{FILE_NAME})"
)
_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)\}|(?P<open>\$\{)")
_BODY = re.compile(rf"(?P<name>{ENV_NAME})(?P<default>:-.*)?", re.DOTALL)
_KEY_LIKE = re.compile(r"\b(?:(?:sk|pk|rk|ghp|gho|xox[a-z])[-_]|eyJ)[-_.A-Za-z0-9]{12,}")
_LONG_WORD = re.compile(r"\b(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}\b")


class Text(str):
    """A string from the file that remembers how it was `written`, and `where`.

    `str(text)` is the expanded value; error messages show `written`, so that nothing from the
    environment is printed. `resolved`: what its references stand for.
    """

    __slots__ = ("resolved", "where", "written")

    written: str
    where: str
    resolved: tuple[str, ...]

    def __new__(
        cls, value: str, *, written: str, where: str, resolved: tuple[str, ...] = ()
    ) -> Text:
        """A text of this value."""
        text = super().__new__(cls, value)
        text.written = written
        text.where = where
        text.resolved = resolved
        return text

    @classmethod
    def expanded(cls, written: str, environ: Mapping[str, str], *, where: str) -> Text:
        """What is `written` with its references resolved. Raises as `expand`."""
        resolved = [
            _value(found, environ) for found in _REFERENCE.finditer(written) if found[0] != "$${"
        ]
        value = expand(written, environ)
        return cls(value, written=written, where=where, resolved=tuple(resolved))

    def __reduce__(self) -> tuple[Callable[..., Text], tuple[str, str, str, tuple[str, ...]]]:
        return _text, (str(self), self.written, self.where, self.resolved)


def _text(value: str, written: str, where: str, resolved: tuple[str, ...]) -> Text:
    return Text(value, written=written, where=where, resolved=resolved)


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is kept: an environment variable, a file or a Prefect Secret block.

    `prefix` goes before the value (`Bearer `, in a header); `where` is file, line and key path,
    for messages. Neither this object nor its text ever holds the secret.
    """

    kind: Literal["env", "file", "prefect"]
    name: str
    prefix: str = ""
    where: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> SecretReference:
        """The reference in `text`; raises ValueError, without showing `text`, for a literal."""
        found = _SECRET.fullmatch(text)
        is_file = found is not None and found["file"] is not None and text.isprintable()
        if found is None or (looks_like_key(text) and not is_file):
            raise ValueError(f"expected {SECRET_EXPECTED}; a literal key is refused")
        where = text.where if isinstance(text, Text) else ""
        if found["env"]:
            return cls("env", found["env"], where=where)
        if is_file:
            return cls("file", found["file"], where=where)
        return cls("prefect", found["prefect"], where=where)

    def __str__(self) -> str:
        return self.prefix + _WRITTEN[self.kind].format(self.name)

    def __repr__(self) -> str:
        return f"SecretReference({str(self)!r})"

    def resolve(self, secret_loader: SecretLoader | None = None) -> str:
        """The secret, surrounding whitespace removed, after `prefix`.

        It is read again each time. Raises ConfigurationError, naming the reference and never the
        value: an unset or empty variable, no such block, no `secret_loader` given for a block, a
        file that is missing, unreadable, empty, too large or not a regular file, or a value that is
        not allowed in an HTTP header.
        """
        match self.kind:
            case "env":
                value = self._from_environment()
            case "file":
                value = self._from_file()
            case _:
                value = self._from_block(secret_loader)
        value = value.strip()
        if not value:
            raise self._error(f"{self} is empty", self._remedy())
        if not (value.isascii() and value.isprintable()):
            raise self._error(f"{self} contains characters that are not allowed in an HTTP header")
        note_secret(value)
        return self.prefix + value

    def _from_environment(self) -> str:
        value = os.environ.get(self.name)
        if value is None:
            raise self._error(f"the environment variable {self.name} is not set", self._remedy())
        return value

    def _from_file(self) -> str:
        try:
            return secret_in_file(expand(self.name, os.environ))
        except ValueError as problem:
            message = str(problem)
        raise self._error(f"{self}: {message}", self._remedy())

    def _from_block(self, secret_loader: SecretLoader | None) -> str:
        if secret_loader is None:
            raise self._error(f"{self} is a Prefect Secret, which cannot be read here")
        try:
            return str(secret_loader(self.name))
        except (LookupError, ValueError):
            message = f"there is no Prefect Secret block named {self.name!r}"
        raise self._error(message, self._remedy())

    def _remedy(self) -> str:
        if self.kind == "env":
            return f"export {self.name}=…"
        if self.kind == "file":
            return (
                "Put only the secret into this file, and make it readable for the user who runs "
                "chatlake."
            )
        return f"Create the Secret block {self.name!r} in Prefect, or refer to ${{NAME}}."

    def _error(self, message: str, hint: str | None = None) -> ConfigurationError:
        return ConfigurationError(f"{self.where}: {message}" if self.where else message, hint=hint)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """`text` with each `${NAME}` and `${NAME:-default}` replaced from `environ`.

    Raises ValueError for a variable that is unset or empty and has no default, and for a malformed
    reference.
    """
    return _REFERENCE.sub(lambda found: _value(found, environ), text)


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found[0] == "$${":
        return "${"
    body = _BODY.fullmatch(found["body"] or "")
    if found["open"] or body is None:
        raise ValueError(
            "expected references like ${NAME} or ${NAME:-default}; for a plain ${ write $${"
        )
    value = environ.get(body["name"], "")
    if value:
        return value
    if body["default"] is None:
        state = "is empty" if body["name"] in environ else "is not set"
        raise UnsetVariableError(body["name"], state)
    return body["default"].removeprefix(":-")


class UnsetVariableError(ValueError):
    """A reference without default to a variable, `name`, that is unset or empty."""

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"the environment variable {name} {state}")
        self.name = name


def is_secret_reference(text: str) -> bool:
    """Whether `text` is one reference and nothing else."""
    return _SECRET.fullmatch(text) is not None


def looks_like_key(text: str) -> bool:
    """Whether `text` has the shape of an API key, so that it must not be printed."""
    return _KEY_LIKE.search(text) is not None


def without_keys(text: str) -> str:
    """`text`, for a message, with all that may be an API key replaced by an ellipsis."""
    return _LONG_WORD.sub("…", _KEY_LIKE.sub("…", text))
