"""The digest by which a completion is recognised as unchanged."""

from __future__ import annotations

import hashlib

import msgspec

from chatlake.model.json_text import SentObject

DIGEST_BYTES = 16
_SORTED = msgspec.json.Encoder(order="sorted")


def completion_digest(sent: SentObject) -> bytes:
    """Hash the canonical JSON of a completion (keys sorted, no white space): 16 bytes.

    The key `object` is ignored, because some servers send it by id and leave it null in the list. A
    completion without a canonical form (with a number too large for a double) is hashed as it was
    sent.
    """
    text = sent.valid_text()
    try:
        value = msgspec.json.decode(text)
        if isinstance(value, dict):
            value.pop("object", None)
        text = _SORTED.encode(value)
    except (msgspec.MsgspecError, RecursionError):
        pass
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()
