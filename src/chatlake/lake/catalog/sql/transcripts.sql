-- One row for each completion: the whole conversation as readable text.
CREATE VIEW transcripts AS
WITH parts_told AS (
    SELECT
        *,
        -- One text alone stands in `text` already: only other messages are taken apart.
        CASE
            WHEN part_count > 1 OR (part_count = 1 AND text IS NULL)
            THEN array_to_string(
                [
                    CASE
                        WHEN p ->> '$.type' = 'text' THEN p ->> '$.text'
                        WHEN p ->> '$.image_url.url' LIKE 'chatlake-image:%'
                        THEN '[image ' || substr(p ->> '$.image_url.url', 16, 12) || ']'
                        WHEN p ->> '$.image_url.url' LIKE 'http%'
                        THEN '[image ' || (p ->> '$.image_url.url') || ']'
                        WHEN p ->> '$.type' = 'image_url' THEN '[image]'
                        WHEN p ->> '$.refusal' IS NOT NULL THEN '[refusal] ' || (p ->> '$.refusal')
                        ELSE '[' || coalesce(p ->> '$.type', 'part') || ']'
                    END
                    FOR p IN list_concat(
                        json_extract(raw, '$.content_parts[*]'), json_extract(raw, '$.content[*]')
                    )
                ],
                chr(10)
            )
            ELSE text
        END AS told,
        CASE
            WHEN json_array_length(tool_calls) > 0
            THEN array_to_string(
                [
                    '[calls ' || coalesce(c ->> '$.function.name', c ->> '$.custom.name', '?')
                    || coalesce(
                        ' ' || coalesce(c ->> '$.function.arguments', c ->> '$.custom.input'), ''
                    )
                    || ']'
                    FOR c IN json_extract(tool_calls, '$[*]')
                ],
                chr(10)
            )
        END AS calls
    FROM messages
)
SELECT
    t.source, t.completion_id, t.created_at, t.model, c.message_count, t.transcript,
    c.total_tokens, t.created_date
FROM (
    SELECT
        source, created_date, completion_id, created_at,
        arg_max(model, message_index) AS model,
        string_agg(
            concat_ws(
                chr(10),
                concat(
                    coalesce(role, 'unknown'), ' ' || name, ' ' || tool_call_id,
                    CASE WHEN choice_index > 0 THEN ' (choice ' || choice_index || ')' END,
                    ':', ' ' || told
                ),
                '[refusal] ' || refusal,
                calls
            ),
            chr(10) || chr(10) ORDER BY message_index
        ) AS transcript
    FROM parts_told
    -- By time too: so a filter on it is a filter on the messages.
    GROUP BY source, created_date, completion_id, created_at
) AS t
LEFT JOIN completions AS c
    ON c.source = t.source
    AND c.created_date = t.created_date
    AND c.completion_id = t.completion_id
UNION ALL
-- Those without any message, by their own counts: a look at the messages would read all days.
SELECT
    source, completion_id, created_at, model, message_count, NULL AS transcript, total_tokens,
    created_date
FROM completions
WHERE coalesce(message_count, choice_count, 0) = 0;
