"""The same store as OGX (formerly Llama Stack) would answer it: section "OGX" in api-behaviour."""

from __future__ import annotations

import json

_DROPPED = ("metadata", "seed", "request_id")


def completion(body: bytes, messages: list[bytes]) -> bytes:
    """A completion with `input_messages`, without metadata, seed, request_id and usage."""
    stored = json.loads(body)
    for key in _DROPPED:
        del stored[key]
    stored["usage"] = None
    stored["input_messages"] = [json.loads(message) for message in messages]
    return json.dumps(stored).encode()


def message(body: bytes) -> bytes:
    """A message whose `content` is null where it has parts."""
    stored = json.loads(body)
    if stored["content_parts"] is not None:
        stored["content"] = None
    return json.dumps(stored).encode()
