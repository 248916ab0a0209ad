"""The tables of the lake and the columns of their files, in order.

`source` and `created_date` are not in the files: the folder names carry them (hive partitions).
"""

from __future__ import annotations

from typing import Final

COMPLETIONS: Final = "completions"
MESSAGES: Final = "messages"
CONTENT_PARTS: Final = "content_parts"
IMAGES: Final = "images"
HISTORY: Final = "history"
MESSAGE_HISTORY: Final = "message_history"
MISSED: Final = "missed"

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    COMPLETIONS: (
        "completion_id", "created_at", "model", "service_tier", "system_fingerprint",
        "request_id", "finish_reasons", "prompt_tokens", "completion_tokens", "total_tokens",
        "cached_tokens", "reasoning_tokens", "temperature", "top_p", "presence_penalty",
        "frequency_penalty", "seed", "tool_choice", "tools", "response_format", "input_user",
        "metadata", "choice_count", "message_count", "image_count", "first_seen_at", "synced_at",
        "deleted_at", "run_id", "raw", "raw_exact", "digest",
    ),
    MESSAGES: (
        "completion_id", "message_id", "message_index", "direction", "choice_index", "role",
        "name", "content", "text", "refusal", "tool_call_id", "tool_calls", "finish_reason",
        "part_count", "created_at", "model", "raw", "raw_exact", "echo_raw",
        "invalid_argument_calls",
    ),
    CONTENT_PARTS: (
        "completion_id", "message_id", "message_index", "direction", "part_index", "type", "text",
        "image_url", "image_detail", "image_sha256", "media_type", "image_bytes", "part_source",
        "created_at", "raw", "raw_exact",
    ),
    IMAGES: ("sha256", "media_type", "byte_size", "width", "height", "data"),
    HISTORY: ("completion_id", "observed_at", "change", "created_at", "raw", "raw_exact", "digest"),
    MESSAGE_HISTORY: (
        "completion_id", "message_id", "observed_at", "message_index", "direction", "role",
        "content", "text", "created_at", "raw", "raw_exact",
    ),
    MISSED: ("completion_id", "missed_at", "run_id"),
}  # fmt: skip
