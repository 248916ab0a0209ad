"""Embedded images, shown as pictures only if they are pictures: their first bytes show the type.

The type in the data URL is ignored. An SVG is a document that may hold a script, so it is shown as
text, like everything else that is not a known kind of picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from chatlake.web.browse.catalogue import Session

_IMAGE: Final = """
SELECT data FROM images
WHERE created_date = $day AND source = $source AND sha256 = $sha256
LIMIT 1
"""
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp",
                             "image/bmp", "image/avif"})  # fmt: skip
"""Types that are worth trying to show as a picture."""


@dataclass(frozen=True, slots=True)
class Media:
    """The bytes of an image, and the type under which they are safe to send."""

    data: bytes
    media_type: str

    @property
    def is_picture(self) -> bool:
        """Whether a browser shows it."""
        return self.media_type.startswith("image/")


def load_image(session: Session, source: str, day: date, sha256: str) -> Media | None:
    """Return an embedded image; None if the lake has only its hash."""
    found = session.ask(_IMAGE, {"source": source, "day": day, "sha256": sha256})
    if not found or found[0][0] is None:
        return None
    data = bytes(found[0][0])
    return Media(data, media_type_of(data))


def media_type_of(data: bytes) -> str:
    """Return the type of a picture, or of plain text or bytes."""
    for magic, media_type in _MAGIC:
        if data.startswith(magic):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    head = data[:4096]
    is_text = b"\0" not in head and not any(byte < 9 for byte in head)
    return "text/plain; charset=utf-8" if is_text else "application/octet-stream"
