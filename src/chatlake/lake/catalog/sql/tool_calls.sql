-- One row for each tool call that a message makes, of functions and of custom tools.
CREATE VIEW tool_calls AS
WITH calls AS (
    SELECT
        source, completion_id, message_id, direction, created_at, invalid_argument_calls,
        unnest(range(json_array_length(tool_calls)::BIGINT))::INTEGER AS call_index,
        unnest(json_extract(tool_calls, '$[*]')) AS call
    FROM messages
    WHERE json_array_length(tool_calls) > 0
),
named AS (
    SELECT
        *,
        coalesce(call ->> '$.function.name', call ->> '$.custom.name') AS tool_name,
        coalesce(call ->> '$.function.arguments', call ->> '$.custom.input') AS arguments_text
    FROM calls
)
SELECT
    source, completion_id, message_id, direction, call_index,
    call ->> '$.id' AS tool_call_id,
    call ->> '$.type' AS tool_type,
    tool_name,
    arguments_text,
    -- DuckDB takes a trailing comma or NaN for JSON; the writer was stricter.
    CASE
        WHEN json_valid(arguments_text)
            AND NOT coalesce(list_contains(invalid_argument_calls, call_index), false)
        THEN arguments_text::JSON
    END AS arguments,
    created_at
FROM named;
