r"""Embedded images: decoded once, replaced in `raw` by a reference, put back by the export.

A data URL whose image is stored becomes `chatlake-image:<sha256>;<prefix>`, `prefix` being all of
the URL before the base64 text (`data:image/png;base64,`). This is done only if encoding the bytes
again gives exactly the same text; else `raw` keeps the image as it was sent. If a user's text
contains such a reference, its `:` is written as the JSON escape `\u003a`. The value stays the same,
and it is never taken for a reference.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

import msgspec

_DATA_URL = re.compile(r"data:([^,]*?)(;base64)?,", re.IGNORECASE)
_PLAIN_PREFIX = re.compile(r"[A-Za-z0-9/+.;:=_,-]*")
_DATA_URL_TOKEN = re.compile(rb'"data:[^"\\]*(?:\\.[^"\\]*)*"', re.IGNORECASE | re.DOTALL)
_DATA_URL_START = re.compile(rb'"data:', re.IGNORECASE)
_NO_LINE_BREAKS = str.maketrans("", "", "\r\n")
_FROM_URL_SAFE = str.maketrans("-_", "+/")
_PIECE = 3 << 16
_STRING_START = 80  # bytes; two data URLs rarely begin with the same ones
MARK = "chatlake-image:"
HIDDEN_MARK = r"chatlake-image\u003a"
_MARK, _HIDDEN_MARK = MARK.encode(), HIDDEN_MARK.encode()
_REFERENCE = re.compile(rb'"chatlake-image:([0-9a-f]{64});([A-Za-z0-9/+.;:=_,-]*)"')
_WHOLE_REFERENCE = re.compile(r"chatlake-image:([0-9a-f]{64})(?:;([A-Za-z0-9/+.;:=_,-]*))?")


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """An image from a data URL. `sha256` is the hex digest of `data`.

    `media_type` is what the URL says, None if it says nothing. `reference` replaces the URL in
    `raw`; it is None if the URL could not be restored exactly.
    """

    sha256: str
    media_type: str | None
    data: bytes
    reference: str | None

    @property
    def bare_reference(self) -> str:
        """The replacement in `raw` for an image that is not stored.

        It has only the hash, so the image cannot be put back.
        """
        return f"{MARK}{self.sha256}"

    def size(self) -> tuple[int | None, int | None]:
        """Return width and height in pixels from the file's header; None if unknown."""
        import imagesize  # noqa: PLC0415 - it imports a client for HTTP

        try:
            width, height = map(int, imagesize.get(io.BytesIO(self.data)))
        except Exception:  # noqa: BLE001 - a broken header may raise anything; the bytes are kept
            return None, None
        return (width, height) if 0 < width < 2**31 and 0 < height < 2**31 else (None, None)


def is_data_url(url: str) -> bool:
    """Whether the URL carries its content itself (RFC 2397)."""
    return url[:5].lower() == "data:"


def decode_data_url(url: str) -> EmbeddedImage | None:
    """Decode a data URL (RFC 2397); None if it is not one, is empty or cannot be decoded."""
    match = _DATA_URL.match(url)
    if match is None:
        return None
    start, is_base64 = match.end(), match.group(2) is not None
    data = _decode_base64(url, start) if is_base64 else unquote_to_bytes(url[start:])
    if not data:
        return None
    sha256 = hashlib.sha256(data).hexdigest()
    prefix = match.group(0)
    restorable = is_base64 and _PLAIN_PREFIX.fullmatch(prefix) and _encodes_to(data, url, start)
    return EmbeddedImage(
        sha256=sha256,
        media_type=_media_type(match),
        data=data,
        reference=f"{MARK}{sha256};{prefix}" if restorable else None,
    )


def _encodes_to(data: bytes, url: str, start: int) -> bool:
    """Whether `data` in base64 is exactly the text from `start`; compared piece by piece."""
    return len(url) - start == 4 * -(-len(data) // 3) and all(
        url.startswith(
            binascii.b2a_base64(data[place : place + _PIECE], newline=False).decode("ascii"),
            start + place // 3 * 4,
        )
        for place in range(0, len(data), _PIECE)
    )


def _decode_base64(url: str, start: int) -> bytes | None:
    """Decode base64 (RFC 4648) from `start`; None if it is something else.

    It accepts the standard alphabet (section 4) or the URL-safe one (section 5), with or without
    padding, broken into lines (MIME), percent-encoded as in URLs. It does not guess beyond that: a
    text that only resembles base64, or mixes the alphabets, must not become an image.
    """
    payload = url[start:]
    if "%" in payload:
        payload = unquote(payload)
    if "\n" in payload or "\r" in payload:
        payload = payload.translate(_NO_LINE_BREAKS)
    if "-" in payload or "_" in payload:
        if "+" in payload or "/" in payload:
            return None
        payload = payload.translate(_FROM_URL_SAFE)
    if not payload.endswith("="):
        payload += "=" * (-len(payload) % 4)
    try:
        return binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def is_as_sent(text: bytes, references: Mapping[str, str]) -> bool:
    """Whether `insert_references` would return the text unchanged, which is the usual case."""
    return not references and _MARK not in text


def insert_references(text: bytes, references: Mapping[str, str]) -> bytes:
    """Replace data URLs in a JSON text by references; `references`: URL -> its replacement."""
    if _MARK in text:
        text = text.replace(_MARK, _HIDDEN_MARK)
    # JSON never spells a string in fewer bytes than it has characters.
    references = {url: new for url, new in references.items() if len(url) <= len(text)}
    for url, reference_text in references.items():
        # The form that nearly every client writes, without a copy of each image in the text.
        if "\\" not in url and '"' not in url:
            text = _replace_string(text, url.encode(), reference_text.encode())
    if not references or not _DATA_URL_START.search(text):
        return text

    def reference(match: re.Match[bytes]) -> bytes:
        found = references.get(_string(match.group()))
        return match.group() if found is None else b'"%b"' % found.encode()

    return _DATA_URL_TOKEN.sub(reference, text)


def _replace_string(text: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a JSON string that may be megabytes, without a copy of it.

    `bytes.replace` would first analyse the whole of `old`, which takes longer than comparing it.
    """
    begins, pieces, at = b'"' + old[:_STRING_START], [], 0
    found = text.find(begins)
    while found >= 0:
        end = found + 1 + len(old)
        if text.startswith(old, found + 1) and text[end : end + 1] == b'"':
            pieces += [text[at : found + 1], new]
            at = found = end
        found = text.find(begins, found + 1)
    return b"".join([*pieces, text[at:]]) if pieces else text


def _string(token: bytes) -> str:
    """Return the value of a JSON string, however it is escaped; empty if invalid."""
    try:
        return msgspec.json.decode(token, type=str)
    except msgspec.DecodeError:
        return ""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference in `raw` says about its image.

    `media_type`: as in `EmbeddedImage`. `is_bare`: whether it has only the hash, and so no media
    type.
    """

    sha256: str
    media_type: str | None
    is_bare: bool


def read_reference(text: str) -> Reference | None:
    """Read the reference of an image in `raw`; None if the text is something else."""
    match = _WHOLE_REFERENCE.fullmatch(text)
    if match is None:
        return None
    if match[2] is None:
        return Reference(match[1], None, is_bare=True)
    url = _DATA_URL.match(match[2])
    return Reference(match[1], None if url is None else _media_type(url), is_bare=False)


def _media_type(url: re.Match[str]) -> str | None:
    return url.group(1).split(";", 1)[0].strip().lower() or None


def restore_references(text: bytes, load: Callable[[str], bytes | None]) -> bytes:
    """Put embedded images back: the inverse of `insert_references`.

    `load` returns the bytes of an image by SHA-256; None if the lake does not have it (the
    reference then stays).
    """
    if _MARK not in text:
        return text

    def data_url(match: re.Match[bytes]) -> bytes:
        data = load(match.group(1).decode("ascii"))
        if data is None:
            return match.group(0)
        return b'"%b%b"' % (match.group(2), base64.b64encode(data))

    return _REFERENCE.sub(data_url, text)
