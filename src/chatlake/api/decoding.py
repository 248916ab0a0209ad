"""Content encodings: a body's bytes decoded piece by piece, never much of it at once.

Every request asks for gzip or deflate, and only these two are decoded. A body that is encoded
twice, or in another way, is refused: decoders in a chain let a few kilobytes grow without bound,
and undecoded bytes would look like damage.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

_PIECE: Final = 1 << 16
_MAGIC: Final = b"\x1f\x8b"
_NAMES: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class EncodedBodyError(Exception):
    """A body has an unsupported encoding, or does not follow its encoding."""


class Decoder(Protocol):
    """Decodes one body."""

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Yield the decoded content of a chunk, in pieces.

        Raises EncodedBodyError if it is invalid.
        """

    def finish(self) -> None:
        """Raise EncodedBodyError if the body has ended too early."""


def decoder_for(encodings: Sequence[str]) -> Decoder:
    """Return a decoder for the values of `Content-Encoding`; EncodedBodyError for others."""
    named = [name.strip().lower() for value in encodings for name in value.split(",")]
    used = [name for name in named if name not in {"", "identity"}]
    if not used:
        return _Plain()
    if len(used) > 1 or used[0] not in _NAMES:
        raise EncodedBodyError(
            f"the response is encoded as {', '.join(used)!r}; only gzip and deflate are supported"
        )
    return _Inflating(_NAMES[used[0]])


class _Plain:
    """A body that is not encoded."""

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        return (chunk,)

    def finish(self) -> None:
        """Leave the end to the transport, which knows the length."""


class _Inflating:
    """A body in gzip (RFC 1952) or deflate (RFC 1950; RFC 1951 alone, as some servers send it)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inflater: Any = None
        self._head = b""  # fewer than the two bytes that identify the encoding
        self._members = 0
        self._has_ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk and not self._has_ended:
            if self._inflater is None:
                chunk, self._head = self._head + chunk, b""
                if len(chunk) < len(_MAGIC):
                    self._head = chunk
                    return
                # gzip may have several members; anything else after the end is padding.
                is_padding = self._members and (self._name != "gzip" or chunk[:2] != _MAGIC)
                if is_padding:
                    self._has_ended = True
                    return
                self._inflater = self._begin(chunk)
            yield from self._inflate(chunk)
            chunk = self._inflater.unused_data
            if self._inflater.eof:
                self._inflater = None
                self._members += 1

    def finish(self) -> None:
        if self._inflater is not None or (self._head and not self._members):
            raise EncodedBodyError(f"the response ends in the middle of its {self._name} encoding")

    def _begin(self, chunk: bytes) -> Any:
        if self._name == "gzip":
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        is_zlib = chunk[0] & 0x0F == zlib.DEFLATED and (chunk[0] << 8 | chunk[1]) % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        decompress: Callable[[bytes, int], bytes] = self._inflater.decompress
        while True:
            try:
                piece = decompress(data, _PIECE)
            except zlib.error as error:
                raise EncodedBodyError(f"the response is not {self._name}: {error}") from None
            yield piece
            data = self._inflater.unconsumed_tail
            if not data and len(piece) < _PIECE:  # a full piece may not be all of this input
                return
