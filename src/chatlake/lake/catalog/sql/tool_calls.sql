-- One row for each tool call that a message makes, of functions and of custom tools.
CREATE VIEW tool_calls AS
WITH calls AS (
    SELECT
        source, completion_id, message_id, direction, created_at, invalid_argument_calls, model,
        created_date, message_index, choice_index,
        unnest(range(json_array_length(tool_calls)::BIGINT))::INTEGER AS call_index,
        unnest(json_extract(tool_calls, '$[*]')) AS call
    FROM messages
    WHERE json_array_length(tool_calls) > 0
),
named AS (
    SELECT
        *,
        call ->> '$.id' AS tool_call_id,
        coalesce(call ->> '$.function.name', call ->> '$.custom.name') AS tool_name,
        coalesce(call ->> '$.function.arguments', call ->> '$.custom.input') AS arguments_text
    FROM calls
)
SELECT
    n.source, n.completion_id, n.message_id, n.direction, n.call_index,
    n.tool_call_id,
    n.call ->> '$.type' AS tool_type,
    n.tool_name,
    n.arguments_text,
    -- DuckDB takes a trailing comma or NaN for JSON; the writer was stricter.
    CASE
        WHEN json_valid(n.arguments_text)
            AND NOT coalesce(list_contains(n.invalid_argument_calls, n.call_index), false)
        THEN n.arguments_text::JSON
    END AS arguments,
    n.created_at, n.model, n.created_date, n.message_index, n.choice_index,
    CASE WHEN n.tool_call_id IS NOT NULL THEN a.tool_call_id IS NOT NULL END AS answered
FROM named AS n
LEFT JOIN (
    SELECT DISTINCT source, created_date, completion_id, tool_call_id
    FROM messages
    WHERE tool_call_id IS NOT NULL
) AS a
    ON a.source = n.source
    AND a.created_date = n.created_date
    AND a.completion_id = n.completion_id
    AND a.tool_call_id = n.tool_call_id;
