"""The columns of every table: Arrow types, and one sentence about each for readers of the schema.

`source` and `created_date` are not columns of the files: the folder names carry them. Every file of
a table has exactly these columns, so the views need to open only one file to plan a query.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from chatlake.model.tables import (
    COMPLETIONS,
    CONTENT_PARTS,
    HISTORY,
    IMAGES,
    MESSAGE_HISTORY,
    MESSAGES,
    MISSED,
)

TEXT: Final = pa.string()
TIME: Final = pa.timestamp("us", tz="UTC")
SMALL: Final = pa.int32()
COUNT: Final = pa.int64()
REAL: Final = pa.float64()
# The Parquet logical type JSON: DuckDB reads such a column as JSON without being told.
JSON: Final = pa.json_(pa.string())
DIGEST_BYTES: Final = 16

_Column = tuple[str, pa.DataType, str]

PARTITION_COLUMNS: Final[dict[str, str]] = {
    "source": "Name of the source in the configuration; with completion_id the completion's key.",
    "created_date": "UTC date of the completion's creation; the partition.",
}
_ID: Final = "Id of the completion, as the API sent it."
_CREATED: Final = "When the API created the completion, UTC."
_MODEL: Final = "Model that answered, as the API named it."
_EXACT: Final = (
    "Exact text where the API sent half a surrogate pair, which strict JSON readers refuse and raw "
    "replaces; NULL where raw is exact."
)
_VERSION: Final = (
    "Digest of the canonical JSON, to notice changes; NULL while messages are missing."
)

_TABLES: Final[dict[str, tuple[_Column, ...]]] = {
    COMPLETIONS: (
        ("completion_id", TEXT, _ID),
        ("created_at", TIME, _CREATED),
        ("model", TEXT, _MODEL),
        ("service_tier", TEXT, "Service tier that processed the request."),
        ("system_fingerprint", TEXT, "Fingerprint of the backend that answered."),
        ("request_id", TEXT, "Id of the request that made the completion."),
        ("finish_reasons", pa.list_(TEXT), "Why each choice ended, in the order of the choices."),
        ("prompt_tokens", COUNT, "Tokens of the prompt."),
        ("completion_tokens", COUNT, "Tokens of the reply."),
        ("total_tokens", COUNT, "Tokens of prompt and reply."),
        ("cached_tokens", COUNT, "Prompt tokens that came from the cache."),
        ("reasoning_tokens", COUNT, "Reply tokens spent on reasoning."),
        ("temperature", REAL, "Sampling temperature of the request."),
        ("top_p", REAL, "Nucleus sampling mass of the request."),
        ("presence_penalty", REAL, "Presence penalty of the request."),
        ("frequency_penalty", REAL, "Frequency penalty of the request."),
        ("seed", COUNT, "Seed of the request."),
        ("tool_choice", JSON, "Which tool the model was asked to call, as the API sent it."),
        ("tools", JSON, "Tools that were offered, as the API sent them."),
        ("response_format", JSON, "Format that was asked for, as the API sent it."),
        ("input_user", TEXT, "End user that the request named."),
        ("metadata", pa.map_(TEXT, TEXT), "Keys and values that the request was stored with."),
        ("choice_count", SMALL, "Number of choices."),
        ("message_count", SMALL, "Number of input and output messages."),
        ("image_count", SMALL, "Number of image parts."),
        ("first_seen_at", TIME, "When a backup first stored the completion, UTC."),
        ("synced_at", TIME, "When a backup last stored this version of it, UTC."),
        (
            "deleted_at",
            TIME,
            "When it was found deleted at the source, UTC; NULL while it is there.",
        ),
        ("run_id", TEXT, "Run that stored this version."),
        ("raw", JSON, "The completion as the API sent it; stored images replaced by references."),
        ("raw_exact", TEXT, _EXACT),
        ("digest", pa.binary(DIGEST_BYTES), _VERSION),
    ),
    MESSAGES: (
        ("completion_id", TEXT, _ID),
        ("message_id", TEXT, "Id of the message; unique in its source."),
        ("message_index", SMALL, "Position in the conversation from 0, outputs after inputs."),
        ("direction", TEXT, "'input' (from /messages) or 'output' (from choices)."),
        ("choice_index", SMALL, "Index of the choice of an output message; NULL for inputs."),
        ("role", TEXT, "Role of the author: system, developer, user, assistant, tool, and others."),
        ("name", TEXT, "Name of the author, if one was given."),
        ("content", TEXT, "Value of the API's content field."),
        ("text", TEXT, "The text to read: texts of the parts joined by newlines, else content."),
        ("refusal", TEXT, "The model's refusal."),
        ("tool_call_id", TEXT, "Tool call that this message answers."),
        ("tool_calls", JSON, "Tool calls that this message makes, as the API sent them."),
        ("finish_reason", TEXT, "Why the choice ended; NULL for inputs."),
        ("part_count", SMALL, "Number of content parts."),
        ("created_at", TIME, _CREATED),
        ("model", TEXT, _MODEL),
        ("raw", JSON, "The message as the API sent it; stored images replaced by references."),
        ("raw_exact", TEXT, _EXACT),
        ("echo_raw", TEXT, "For an output that /messages sent too: that object, as it was sent."),
        ("invalid_argument_calls", pa.list_(SMALL), "Positions of calls without JSON arguments."),
    ),
    CONTENT_PARTS: (
        ("completion_id", TEXT, _ID),
        ("message_id", TEXT, "Id of the message."),
        ("message_index", SMALL, "Position of the message in the conversation from 0."),
        ("direction", TEXT, "'input' or 'output', as in the message."),
        ("part_index", SMALL, "Position of the part in the message from 0."),
        ("type", TEXT, "Type of the part as the API named it: text, image_url, and others."),
        ("text", TEXT, "Text of a text part."),
        ("image_url", TEXT, "Link to the image; NULL where the image came embedded."),
        ("image_detail", TEXT, "Detail that was asked for: auto, low, high, and others."),
        ("image_sha256", TEXT, "SHA-256 of the embedded image, hexadecimal; the key into images."),
        ("media_type", TEXT, "Media type of the embedded image."),
        ("image_bytes", COUNT, "Size of the embedded image in bytes."),
        ("part_source", TEXT, "'content_parts', or 'content' for a plain string."),
        ("created_at", TIME, _CREATED),
        ("raw", JSON, "The part as the API sent it; a stored image replaced by a reference."),
        ("raw_exact", TEXT, _EXACT),
    ),
    IMAGES: (
        ("sha256", TEXT, "SHA-256 of the bytes, hexadecimal."),
        ("media_type", TEXT, "Media type that the data URL named."),
        ("byte_size", COUNT, "Size in bytes."),
        ("width", SMALL, "Width in pixels; NULL where unknown."),
        ("height", SMALL, "Height in pixels; NULL where unknown."),
        ("data", pa.binary(), "The bytes."),
    ),
    HISTORY: (
        ("completion_id", TEXT, _ID),
        ("observed_at", TIME, "When a backup first saw this version, UTC."),
        ("change", TEXT, "'created', 'changed' or 'deleted'."),
        ("created_at", TIME, _CREATED),
        ("raw", JSON, "This version of the completion, as the API sent it."),
        ("raw_exact", TEXT, _EXACT),
        ("digest", pa.binary(DIGEST_BYTES), _VERSION),
    ),
    MESSAGE_HISTORY: (
        ("completion_id", TEXT, _ID),
        ("message_id", TEXT, "Id of the message; unique in its source at any time."),
        ("observed_at", TIME, "When the completion was last stored with this message, UTC."),
        ("message_index", SMALL, "Position in the conversation from 0, as it was."),
        ("direction", TEXT, "'input' (from /messages) or 'output' (from choices)."),
        ("role", TEXT, "Role of the author."),
        ("content", TEXT, "Value of the API's content field."),
        ("text", TEXT, "The text to read: texts of the parts joined by newlines, else content."),
        ("created_at", TIME, _CREATED),
        ("raw", JSON, "The message as the API sent it; stored images replaced by references."),
        ("raw_exact", TEXT, _EXACT),
    ),
    MISSED: (
        ("completion_id", TEXT, _ID),
        ("missed_at", TIME, "When a full sweep missed the completion for the first time, UTC."),
        ("run_id", TEXT, "The run of that sweep."),
    ),
}  # fmt: skip

SCHEMAS: Final[dict[str, pa.Schema]] = {
    table: pa.schema(
        [pa.field(name, kind, metadata={"description": text}) for name, kind, text in columns]
    )
    for table, columns in _TABLES.items()
}
"""Table -> Arrow schema; each field's metadata holds its `description`."""

ID_COLUMNS: Final = ("completion_id", "message_id", "sha256", "image_sha256")
"""Columns that get a bloom filter: those by which single rows are looked up."""

FEW_VALUED_COLUMNS: Final = frozenset({
    "change", "created_at", "direction", "finish_reason", "finish_reasons", "first_seen_at",
    "image_detail", "media_type", "model", "name", "part_source", "role", "run_id", "service_tier",
    "synced_at", "system_fingerprint", "tool_choice", "tools", "type", "input_user", "metadata",
    "response_format",
})  # fmt: skip
"""Columns whose values repeat within a row group: a dictionary shrinks them."""

LONG_COLUMNS: Final = frozenset({
    "content", "data", "echo_raw", "image_url", "raw", "raw_exact", "refusal", "text", "tool_calls",
})  # fmt: skip
"""Columns that nobody compares by order: they have no statistics."""


def describe(table: str) -> dict[str, str]:
    """Return column -> its description, the partition columns included."""
    return {**PARTITION_COLUMNS, **{name: text for name, _, text in _TABLES[table]}}
