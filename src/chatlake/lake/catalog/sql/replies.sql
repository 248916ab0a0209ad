-- One row for each choice: the reply, what it answers, and what its completion cost.
CREATE VIEW replies AS
WITH spoken AS (
    SELECT
        source, created_date, completion_id, created_at,
        arg_max(text, message_index) FILTER (direction = 'input' AND role = 'user')
            AS last_user_text,
        list({
            'choice_index': choice_index, 'model': model, 'text': text, 'refusal': refusal,
            'finish_reason': finish_reason, 'tool_calls': tool_calls, 'message_id': message_id,
            'message_index': message_index
        }) FILTER (direction = 'output') AS said
    FROM messages
    -- By time too: so a filter on it is a filter on the messages.
    GROUP BY source, created_date, completion_id, created_at
),
replied AS (
    SELECT source, created_date, completion_id, created_at, last_user_text, unnest(said) AS r
    FROM spoken
)
SELECT
    o.source, o.completion_id, o.r.choice_index AS choice_index, o.created_at, o.created_date,
    o.r.model AS model, o.r.text AS text, o.r.refusal AS refusal,
    o.r.finish_reason AS finish_reason,
    CASE
        WHEN json_array_length(o.r.tool_calls) > 0
        THEN [
            coalesce(t ->> '$.function.name', t ->> '$.custom.name')
            FOR t IN json_extract(o.r.tool_calls, '$[*]')
        ]
    END AS tool_names,
    o.last_user_text, c.metadata, c.prompt_tokens, c.completion_tokens, c.total_tokens,
    c.cached_tokens, c.reasoning_tokens, o.r.message_id AS message_id,
    o.r.message_index AS message_index, c.deleted_at
FROM replied AS o
LEFT JOIN completions AS c
    ON c.source = o.source
    AND c.created_date = o.created_date
    AND c.completion_id = o.completion_id;
