"""The content of a message, rebuilt with the keys that the API documents for requests.

Stored parts carry every key of every type, most of them null; a request with these is refused.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from chatlake.exports.report import SkippedError
from chatlake.exports.stored import Json, as_list, as_object
from chatlake.model.image_references import decode_data_url, is_data_url

Images = Literal["keep", "drop", "skip"]

MAX_IMAGE_BYTES: Final = 10_000_000
"""The size above which trainers refuse an image; the smaller interpretation of 10 MB."""
_DETAILS: Final = frozenset({"auto", "low", "high"})
_LINK: Final = re.compile(r"https?://", re.IGNORECASE)
_OTHER_PARTS: Final = {"input_audio": "audio", "audio": "audio", "file": "file"}


@dataclass(frozen=True, slots=True)
class ImageRules:
    """What happens to images: kept, dropped, or a reason to skip; at most `limit` in a line."""

    images: Images = "keep"
    limit: int = 10
    links: bool = True
    """Whether an image may be a link, which the reader of the file must fetch."""


def media_type_of(data: bytes) -> str | None:
    """Return the media type that an image's first bytes show; None for any but these three."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def content_of(message: Json, role: str, rules: ImageRules) -> str | list[Json] | None:
    """Return a message's content: its parts if it has any, else its text; None without either.

    SkippedError if it has a part that a line cannot contain.
    """
    if message.get("audio"):
        raise SkippedError("audio")
    content = message.get("content")
    parts = as_list(message.get("content_parts")) or as_list(content)
    if not parts:
        if content is None or isinstance(content, str):
            return content
        raise SkippedError("unknown_part" if content else "content_missing")
    rebuilt = [part for sent in parts if (part := _part(as_object(sent), role, rules))]
    if not rebuilt:
        raise SkippedError("images_only")
    return rebuilt


def images_in(content: object) -> int:
    """Return how many images a rebuilt content has."""
    return sum(part["type"] == "image_url" for part in as_list(content))


def plain_text(content: str | list[Json] | None) -> str:
    """Return a rebuilt content as one text, without images."""
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part["type"] == "text")
    return content or ""


def _part(sent: Json, role: str, rules: ImageRules) -> Json | None:
    kind = sent.get("type")
    if kind == "text":
        text = sent.get("text")
        if not isinstance(text, str):
            raise SkippedError("unknown_part")
        return {"type": "text", "text": text}
    if kind == "image_url":
        return _image(sent.get("image_url"), role, rules)
    if kind == "refusal":
        raise SkippedError("refusal")
    raise SkippedError(_OTHER_PARTS.get(str(kind), "unknown_part"))


def _image(sent: Any, role: str, rules: ImageRules) -> Json | None:
    if rules.images == "skip":
        raise SkippedError("image")
    if rules.images == "drop":
        return None
    if role != "user":
        raise SkippedError("image_not_from_user")
    link = as_object(sent)
    detail = link.get("detail")
    image = {"url": _usable(link.get("url"), rules)}
    if detail in _DETAILS:
        image["detail"] = str(detail)
    return {"type": "image_url", "image_url": image}


def _usable(url: object, rules: ImageRules) -> str:
    """Return the URL of an image as a trainer takes it."""
    if not isinstance(url, str):
        raise SkippedError("image_unusable")
    if _LINK.match(url):
        if not rules.links:
            raise SkippedError("image_link")
        return url
    if not is_data_url(url):
        stored = url.startswith("chatlake-image:")
        raise SkippedError("image_not_stored" if stored else "image_unusable")
    found = decode_data_url(url)
    if found is None:
        raise SkippedError("image_unusable")
    media_type = media_type_of(found.data)
    if media_type is None:
        raise SkippedError("image_format")
    if len(found.data) > MAX_IMAGE_BYTES:
        raise SkippedError("image_too_large")
    return f"data:{media_type};base64,{base64.b64encode(found.data).decode()}"
