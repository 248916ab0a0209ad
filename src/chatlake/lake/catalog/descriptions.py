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
    "images": {"reference_count": "Content parts of the same source and day that show it."},
    "tool_calls": {
        "call_index": "Position of the call in the message from 0.",
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
        "transcript": "Roles, texts, tool calls and their results in order, a mark for each "
        "image, a blank line between two messages.",
        "total_tokens": "Tokens of prompt and reply.",
    },
    "daily_usage": {
        "completions": "Number of completions.",
        "messages": "Input and output messages stored.",
        "images": "Image parts, linked and embedded ones, each time that one is shown.",
        "prompt_tokens": "Sum of the tokens of the prompts.",
        "completion_tokens": "Sum of the tokens of the replies.",
        "total_tokens": "Sum of the tokens of prompts and replies.",
        "cached_tokens": "Sum of the prompt tokens out of the cache.",
        "reasoning_tokens": "Sum of the reasoning tokens, which are among the reply's.",
        "refusals": "Completions with at least one reply that is a refusal.",
        "service_tier": "Service tier that processed the requests; several with commas between.",
    },
    "replies": {
        "tool_names": "Names of the tools that the reply calls, in order; NULL if it calls none.",
        "last_user_text": "Text of the last user message before the reply.",
        "metadata": "Metadata of the completion.",
        "prompt_tokens": "Tokens of the prompt.",
        "completion_tokens": "Tokens of all replies of the completion.",
        "total_tokens": "Tokens of the prompt and of all replies.",
        "cached_tokens": "Prompt tokens out of the cache.",
        "reasoning_tokens": "Reasoning tokens, which are among the replies'.",
        "deleted_at": "When two full sweeps had missed the completion, UTC; else NULL.",
    },
    "costs": {
        "price_model": "Entry of `prices` in the configuration that was used; NULL without one.",
        "price_valid_from": "First day of that price.",
        "input_dollars": "Dollars for the prompt tokens that did not come out of the cache.",
        "cached_input_dollars": "Dollars for those that did.",
        "output_dollars": "Dollars for the tokens of the replies.",
        "dollars": "All three; NULL without a price or without tokens. "
        "count(*) - count(dollars) counts these.",
    },
    "all_images": {
        "first_created_date": "First UTC day of a completion that shows it.",
        "last_created_date": "Last such day.",
        "sources": "Sources that have it.",
        "reference_count": "Content parts that show it.",
    },
    "continues": {
        "earlier_completion_id": "The earlier turn of the conversation: of all completions whose "
        "inputs and reply these inputs begin with the longest, and of equal ones the newest.",
        "earlier_created_at": "When the API created that one, UTC.",
        "earlier_created_date": "UTC day of that one.",
        "shared_messages": "Messages that the two share: the earlier inputs and the reply.",
    },
    "duplicates": {
        "inputs_md5": "The same for the same roles, names, texts and parts in the same order.",
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
