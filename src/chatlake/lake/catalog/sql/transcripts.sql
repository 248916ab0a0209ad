-- One row for each completion: the whole conversation as text to read.
CREATE VIEW transcripts AS
SELECT
    c.source, c.completion_id, c.created_at, c.model, c.message_count, t.transcript, c.total_tokens
FROM completions AS c
LEFT JOIN (
    SELECT
        source, created_date, completion_id,
        string_agg(
            coalesce(role, 'unknown') || ':' || coalesce(' ' || coalesce(text, refusal), ''),
            chr(10) || chr(10) ORDER BY message_index
        ) AS transcript
    FROM messages
    GROUP BY ALL
) AS t
    ON t.source = c.source
    AND t.created_date = c.created_date
    AND t.completion_id = c.completion_id;
