"""An address of `notify`: a secret, because it lets anyone post there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from chatlake.config.fields import Leaf, text_of
from chatlake.config.references import (
    REFERENCE,
    SecretLoader,
    SecretReference,
    Text,
    is_secret_reference,
)
from chatlake.errors import ConfigurationError
from chatlake.model.outside_text import note_secret

NOTIFY_PATTERN = rf"^({REFERENCE}|https?://[^\s/?#@]+([/?][^\s#]*)?|.*\$\{{[^{{}}]+\}}.*)$"
_URL = re.compile(r"https?://[^\s/?#@]+([/?][^\s#]*)?")
_EXPECTED = "an http(s) address, or a reference to one: ${NAME}, file:/PATH or secret:NAME"


@dataclass(frozen=True, slots=True)
class NotifyAddress:
    """An address, or the reference to one; its text and its repr never show the address."""

    reference: SecretReference | None = None
    _literal: str = field(default="", repr=False)

    def __str__(self) -> str:
        return "an address" if self.reference is None else str(self.reference)

    def resolve(self, secret_loader: SecretLoader | None = None) -> str:
        """Return the address. ConfigurationError, without the value, if it is not an address."""
        if self.reference is None:
            note_secret(self._literal)
            return self._literal
        url = self.reference.resolve(secret_loader)
        if not _is_address(url):
            where = f"{self.reference.where}: " if self.reference.where else ""
            raise ConfigurationError(
                f"{where}{self.reference} is not an http(s) address",
                hint="Give the address that takes a POST, such as https://example.com/hook.",
            )
        return url


def _is_address(text: str) -> bool:
    try:
        _ = urlsplit(text).port
    except ValueError:
        return False
    return _URL.fullmatch(text) is not None and text.isascii() and text.isprintable()


def _written(address: NotifyAddress | None) -> str | None:
    return None if address is None else str(address)


def _address(value: object) -> NotifyAddress:
    if isinstance(value, NotifyAddress):
        return value
    text = text_of(value, _EXPECTED)
    if is_secret_reference(text):
        return NotifyAddress(SecretReference.parse(value if isinstance(value, Text) else text))
    if not _is_address(text):
        raise ValueError(f"expected {_EXPECTED}")
    return NotifyAddress(None, text)


ADDRESS: Final = {"type": "string", "pattern": NOTIFY_PATTERN}
NOTIFY: Final = Leaf(_address, dict(ADDRESS), _written, expands=False)
