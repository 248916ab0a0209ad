"""Small valid PNG pictures as `data:` URLs, drawn with zlib and struct alone.

Most references show one of a few logos, as in real traffic, so that deduplication has work.
"""

from __future__ import annotations

import base64
import functools
import random
import struct
import zlib

LOGOS = 8
_HEADER = b"data:image/png;base64,"


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def _png(width: int, height: int, palette: bytes, rows: bytes, level: int) -> bytes:
    """An 8-bit palette picture; `rows` have a filter byte 0 in front of each."""
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"IDAT", zlib.compress(rows, level)),
            _chunk(b"IEND", b""),
        )
    )


def _ramp(red: int, green: int, blue: int) -> bytes:
    return bytes(
        part
        for step in range(256)
        for part in (red * step >> 8, green * step >> 8, blue * step >> 8)
    )


@functools.lru_cache(maxsize=64)
def logo(number: int) -> bytes:
    """Logo `number`: a ring in two colours, 64 to 120 pixels, some hundred bytes."""
    size = 64 + 8 * (number % LOGOS)
    middle, outer, inner = size / 2, size * size / 5, size * size / 16
    palette = bytes((250, 248, 240, 37 * number % 256, 90, 160, 200, 53 * number % 256, 40))
    rows = bytearray()
    for y in range(size):
        rows.append(0)
        for x in range(size):
            distance = (x - middle) ** 2 + (y - middle) ** 2
            rows.append(0 if distance > outer else 1 if distance > inner else 2)
    return _png(size, size, palette, bytes(rows), 9)


def photo(key: int, size: int) -> bytes:
    """A unique picture for `key`, of about `size` bytes: a grainy gradient."""
    source = random.Random(key)  # noqa: S311 - a picture, not a secret
    width = max(8, int((max(size - 850, 64) * 4 / 3) ** 0.5))
    height = width * 3 // 4
    palette = _ramp(*(128 + source.randrange(128) for _ in range(3)))
    rows = bytearray()
    for y in range(height):
        band = 224 * y // height
        rows.append(0)
        rows += source.randbytes(width).translate(_BANDS[band])
    # Stored, not packed: the bytes must not depend on the zlib version.
    return _png(width, height, palette, bytes(rows), 0)


_BANDS = [bytes(band + (byte & 31) for byte in range(256)) for band in range(225)]


@functools.lru_cache(maxsize=64)
def logo_url(number: int) -> bytes:
    """`logo` as a data URL."""
    return _HEADER + base64.b64encode(logo(number))


def photo_url(key: int, size: int) -> bytes:
    """`photo` as a data URL."""
    return _HEADER + base64.b64encode(photo(key, size))
