"""Manifests and checkpoints as files, in which a changed byte is noticed.

Each is one JSON object that begins with the SHA-256 of its other text. The hash shows accidents,
not forgeries: a forger can write a matching one.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeVar

import msgspec

from chatlake.errors import LakeDamagedError, LakeFormatError
from chatlake.model.false_values import false_value
from chatlake.model.manifest import (
    FORMAT,
    Checkpoint,
    Manifest,
)
from chatlake.model.outside_text import one_line
from chatlake.storage.interface import Storage

_HEAD: Final = b'{"sha256":"%b",'
_HEAD_SIZE: Final = len(_HEAD % (b"0" * 64))
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is not JSON, not UTF-8, or nested too deeply."""

Document = TypeVar("Document", Manifest, Checkpoint)


class _Header(msgspec.Struct):
    format: int


def read_document(storage: Storage, path: str, kind: type[Document], number: int) -> Document:
    """Read the manifest or checkpoint `number`.

    LakeDamagedError names the file where it is missing, altered or has another number;
    LakeFormatError if a newer chatlake wrote it.
    """
    place = f"{storage.location}/{path}"
    try:
        text = storage.read(path)
    except FileNotFoundError as error:
        raise LakeDamagedError(f"{place} is missing") from error
    return parse_document(text, place, kind, number)


def parse_document(text: bytes, place: str, kind: type[Document], number: int) -> Document:
    """Return what the file `place` says, if it is the manifest or checkpoint `number`.

    LakeDamagedError, LakeFormatError.
    """
    document = unseal(text, place, kind)
    if problem := false_value(document):
        raise LakeDamagedError(f"{place} was altered: {one_line(problem)}")
    if document.number != number:
        raise LakeDamagedError(f"{place} contains number {document.number}")
    return document


def seal(text: bytes) -> bytes:
    """Return a document, given as compact JSON, with its SHA-256 as the first key."""
    return _HEAD % hashlib.sha256(text).hexdigest().encode() + text[1:] + b"\n"


def unseal(text: bytes, place: str, kind: type[Document]) -> Document:
    """Return what a sealed file holds; `place` is its name. LakeDamagedError, LakeFormatError."""
    # The format first: a later one may be hashed or structured in another way.
    try:
        header = msgspec.json.decode(text, type=_Header)
    except _UNREADABLE as error:
        raise LakeDamagedError(f"{place} is damaged: {error}") from error
    if header.format > FORMAT:
        raise LakeFormatError(
            f"{place} has format {header.format}; this chatlake reads up to format {FORMAT}"
        )
    inner = b"{" + text[_HEAD_SIZE:-1]
    if seal(inner) != text:
        raise LakeDamagedError(f"{place} was altered: its SHA-256 does not match")
    try:
        return msgspec.json.decode(inner, type=kind)
    except _UNREADABLE as error:
        raise LakeDamagedError(f"{place} is damaged: {error}") from error
