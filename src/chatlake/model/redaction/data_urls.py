"""Data URLs: those that carry text are redacted inside; images can be dropped."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from chatlake.model.image_references import is_data_url

_HEAD: Final = re.compile(r"data:([^,]*?)(;base64)?,", re.IGNORECASE)
_NOT_IN_BASE64: Final = re.compile(r"[^A-Za-z0-9+/=_-]")
_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")
_SAMPLE: Final = 4096


def is_image_url(text: str, path: Sequence[str]) -> bool:
    """Whether a text is an image, embedded or linked; `path`: the keys that lead to it."""
    keys = [key for key in path if key]
    return text[:11].lower() == "data:image/" or (
        keys[-1:] == ["image_url"] or keys[-2:] == ["image_url", "url"]
    )


def redact_data_url(url: str, redact: Callable[[str], str]) -> str:
    """Return a data URL with its text redacted; the same object if nothing was redacted.

    `redact` returns the object that it was given if it finds nothing.
    """
    head = _HEAD.match(url)
    if head is None or not is_data_url(url):
        return url
    payload = url[head.end() :]
    if head.group(2) is None:
        data = unquote_to_bytes(payload)
    elif not _may_be_text(payload):
        return url
    else:
        data = _decoded(payload)
    text = _text(data)
    if text is None:
        return url
    new = redact(text)
    if new is text:
        return url
    sent = new.encode("utf-8", "replace")
    written = quote(sent) if head.group(2) is None else base64.b64encode(sent).decode()
    return head.group() + written


def _may_be_text(payload: str) -> bool:
    """Whether the first bytes are text. Those of an image are not, so it need not be decoded."""
    data = _decoded(payload[:_SAMPLE])
    try:
        data[:-4].decode()  # a character may be cut
    except UnicodeDecodeError as error:
        return error.start > len(data) - 8 or data[:2] in {b"\xff\xfe", b"\xfe\xff"}
    return True


def _decoded(payload: str) -> bytes:
    """Decode base64 in any spelling and ignore errors: the result is only searched, not stored."""
    if "%" in payload:
        payload = unquote_to_bytes(payload).decode("latin-1")
    payload = _NOT_IN_BASE64.sub("", payload).translate(_FROM_URL_SAFE).rstrip("=")
    payload = payload[: len(payload) - (len(payload) % 4 == 1)]
    try:
        return binascii.a2b_base64(payload + "=" * (-len(payload) % 4))
    except binascii.Error:
        return b""


def _text(data: bytes) -> str | None:
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8"
    try:
        return data.decode(encoding) or None
    except UnicodeDecodeError:
        return None
