"""The keys of the API's own objects, as far as chatlake knows them (api-behaviour)."""

from __future__ import annotations

from typing import Final

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "completion": (
        "id", "object", "created", "model", "request_id", "tool_choice", "usage", "seed", "top_p",
        "temperature", "presence_penalty", "frequency_penalty", "system_fingerprint", "input_user",
        "service_tier", "tools", "metadata", "choices", "response_format", "moderation",
        # Of Azure and of OGX.
        "total", "prompt_filter_results", "input_messages",
    ),
    "choice": ("index", "finish_reason", "message", "logprobs", "content_filter_results"),
    "message": (
        "id", "object", "created", "role", "name", "content", "content_parts", "refusal",
        "tool_call_id", "tool_calls", "function_call", "annotations", "audio",
    ),
    "part": (
        "type", "text", "image_url", "input_audio", "file", "refusal", "prompt_cache_breakpoint",
    ),
    "usage": (
        "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
        "completion_tokens_details",
    ),
    "prompt_tokens_details": (
        "cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "text_tokens",
    ),
    "completion_tokens_details": (
        "reasoning_tokens", "audio_tokens", "image_tokens", "text_tokens",
        "accepted_prediction_tokens", "rejected_prediction_tokens",
    ),
}  # fmt: skip
"""Kind of object -> its known keys."""

_WITHIN: Final = (
    "url", "detail", "data", "format", "file_id", "filename", "file_data", "expires_at",
    "transcript", "function", "custom", "arguments", "input", "url_citation", "start_index",
    "end_index", "title", "token", "logprob", "bytes", "top_logprobs", "description", "parameters",
    "strict", "json_schema", "schema", "grammar", "allowed_tools", "mode",
)  # fmt: skip
"""Keys within calls, tools, images and the like."""

NAMES: Final = frozenset({*_WITHIN, *(key for keys in KEYS.values() for key in keys)})
"""All these keys. They are the API's own words, so they reveal nothing about anybody."""
