"""Values of JSON by themselves, as redaction reads them and writes them back."""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

_HASHED: Final = re.compile("hash:[0-9a-f]{32}")
_SORTED: Final = msgspec.json.Encoder(order="sorted")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LARGEST_EXPONENT: Final = 40


def is_hashed(text: str) -> bool:
    """Whether a text is already the hash of a value, which is not hashed again."""
    return _HASHED.fullmatch(text) is not None


def canonical(old: bytes, text: str | None) -> bytes:
    """Return the bytes to hash: `text` if the value is a string, else its canonical JSON."""
    if text is not None:
        return text.encode("utf-8", "surrogatepass")
    try:
        return _SORTED.encode(msgspec.json.decode(old))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return old


def string_of(token: bytes) -> str:
    """Return the value of a JSON string; its characters as written if it is not valid."""
    inner = token[1:-1]
    if b"\\" not in inner:
        return inner.decode("utf-8", "surrogateescape")
    try:
        return str(json.loads(token.decode("utf-8", "surrogateescape"), strict=False))
    except ValueError:
        return inner.decode("utf-8", "surrogateescape")


def quoted(text: str) -> bytes:
    r"""Return a text as a JSON string, in which half a surrogate pair is written as an escape."""
    if _SURROGATE.search(text):
        try:  # bytes that are not UTF-8 are written as they came
            return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return json.dumps(text).encode()
    return json.dumps(text, ensure_ascii=False).encode()


def is_json(text: str) -> bool:
    """Whether a text is a JSON document as a whole."""
    try:
        msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def whole_number(token: bytes) -> str | None:
    """Return the digits of a whole number, however it is written; None for any other value."""
    if token.isdigit():
        return token.decode()
    text = token.decode().lower().lstrip("-")
    if not text[:1].isdigit():
        return None  # true, false, null
    digits, _, exponent = text.partition("e")
    whole, _, decimals = digits.partition(".")
    if not (whole.isdigit() and (not decimals or decimals.isdigit())):
        return None
    try:
        shift = int(exponent or 0)
    except ValueError:
        return None
    if not 0 <= shift <= _LARGEST_EXPONENT or decimals[shift:].strip("0"):
        return None
    return (whole + decimals[:shift].ljust(shift, "0")).lstrip("0") or "0"
