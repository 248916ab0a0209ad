"""One sentence on each column of the views."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from chatlake.lake.catalog.ledger import LEDGER
from chatlake.lake.files.schema import describe
from chatlake.model.tables import (
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
)

_BASE: Final = {
    "completions": COMPLETIONS, "messages": MESSAGES, "content_parts": CONTENT_PARTS,
    "text_parts": CONTENT_PARTS, "image_parts": CONTENT_PARTS, "images": IMAGES,
    "tool_calls": MESSAGES, "metadata": COMPLETIONS, "transcripts": COMPLETIONS,
    "daily_usage": COMPLETIONS, "completion_history": HISTORY,
    "message_history": MESSAGE_HISTORY, "replies": MESSAGES, "costs": COMPLETIONS,
    "all_images": IMAGES, "continues": MESSAGES, "duplicates": MESSAGES,
}  # fmt: skip
_OWN: Final[dict[str, dict[str, str]]] = {
    "completions": {
        "moderation": "What moderation found, as the API sent it. Read out of raw.",
        "cache_write_tokens": "Prompt tokens that were written to the cache. Read out of raw.",
        "prompt_text_tokens": "Prompt tokens that are text. Read out of raw.",
        "prompt_image_tokens": "Prompt tokens that are images. Read out of raw.",
        "completion_text_tokens": "Reply tokens that are text. Read out of raw.",
        "completion_image_tokens": "Reply tokens that are images. Read out of raw.",
    },
    "images": {"reference_count": "Content parts of the same source and day that contain it."},
    "tool_calls": {
        "call_index": "Position of the call in the message, from 0.",
        "tool_call_id": "Id of the call.",
        "tool_type": "'function' or 'custom'.",
        "tool_name": "Name of the tool.",
        "arguments_text": "Arguments, or a custom tool's input, exactly as the model wrote them.",
        "arguments": "Arguments as JSON; NULL where the model wrote no valid JSON.",
        "answered": "Whether a message of the same completion answers the call; NULL without an "
        "id. The last reply's calls are answered in a later completion, if at all: see continues.",
    },
    "metadata": {"key": "Key of the metadata.", "value": "Its value."},
    "transcripts": {
        "message_count": "Number of input and output messages.",
        "transcript": "Roles, texts, tool calls and their results in order, with a mark for each "
        "image and a blank line between messages.",
        "total_tokens": "Tokens of prompt and reply.",
    },
    "daily_usage": {
        "completions": "Number of completions.",
        "messages": "Input and output messages stored.",
        "images": "Image parts, linked or embedded, counted each time one appears.",
        "prompt_tokens": "Sum of the tokens of the prompts.",
        "completion_tokens": "Sum of the tokens of the replies.",
        "total_tokens": "Sum of the tokens of prompts and replies.",
        "cached_tokens": "Sum of the prompt tokens read from the cache.",
        "reasoning_tokens": "Sum of the reasoning tokens, which are part of the reply tokens.",
        "refusals": "Completions with at least one reply that is a refusal.",
        "service_tier": "Service tier that processed the requests; several are separated by "
        "commas.",
    },
    "replies": {
        "tool_names": "Names of the tools that the reply calls, in order; NULL if it calls none.",
        "last_user_text": "Text of the last user message before the reply.",
        "metadata": "Metadata of the completion.",
        "prompt_tokens": "Tokens of the prompt.",
        "completion_tokens": "Tokens of all replies of the completion.",
        "total_tokens": "Tokens of the prompt and of all replies.",
        "cached_tokens": "Prompt tokens read from the cache.",
        "reasoning_tokens": "Reasoning tokens, which are part of the reply tokens.",
        "deleted_at": "When two full sweeps had missed the completion, UTC; else NULL.",
    },
    "costs": {
        "price_model": "Entry of `prices` in the configuration that was used; NULL without one.",
        "price_valid_from": "First day of that price.",
        "input_dollars": "Dollars for the prompt tokens not read from the cache.",
        "cached_input_dollars": "Dollars for the prompt tokens read from the cache.",
        "output_dollars": "Dollars for the tokens of the replies.",
        "dollars": "Sum of the three; NULL without a price or without tokens. count(*) - "
        "count(dollars) counts the NULLs.",
    },
    "all_images": {
        "first_created_date": "First UTC day of a completion that contains it.",
        "last_created_date": "Last such UTC day.",
        "sources": "Sources that have it.",
        "reference_count": "Content parts that contain it.",
    },
    "continues": {
        "earlier_completion_id": "The earlier turn of the conversation: the completion whose "
        "inputs and reply are the longest beginning of these inputs; the newest, if several are "
        "equal.",
        "earlier_created_at": "When the API created the earlier completion, UTC.",
        "earlier_created_date": "UTC day of the earlier completion.",
        "shared_messages": "Messages that the two share: the earlier inputs and the reply.",
    },
    "duplicates": {
        "inputs_md5": "Digest of the inputs: equal for the same roles, names, texts and parts in "
        "the same order.",
        "copies": "Completions of the source with these inputs.",
        "first_completion_id": "The first of them.",
    },
    "completion_history": {"observed_at": "When a backup saw this first, UTC."},
}


def column_descriptions(view: str) -> dict[str, str]:
    """Return column -> description of every column that the view may have."""
    if view in LEDGER:
        return {field.name: _description(field) for field in LEDGER[view]}
    return {**describe(_BASE[view]), **_OWN.get(view, {})}


def _description(field: pa.Field[Any]) -> str:
    return (field.metadata or {})[b"description"].decode()
