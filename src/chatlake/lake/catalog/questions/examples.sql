-- Candidates for fine-tuning: complete replies of some length that were neither refused nor cut off.
-- narrow: completion_id, last_user_text, reply, model, created_at
-- since DATE: The first day to look at.
-- until DATE: The last day to look at.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
-- shortest NUMBER = 40: Minimum length of a reply, in characters.
-- limit NUMBER = 50: How many examples to show.
SELECT
    r.created_at,
    r.source,
    r.completion_id,
    r.model,
    c.message_count AS messages,
    c.completion_tokens,
    u.text AS last_user_text,
    r.text AS reply
FROM messages AS r
JOIN completions AS c USING (source, completion_id, created_date)
LEFT JOIN (
    SELECT source, completion_id, created_date, arg_max(text, message_index) AS text
    FROM messages
    WHERE direction = 'input' AND role = 'user'
    GROUP BY ALL
) AS u USING (source, completion_id, created_date)
WHERE r.direction = 'output' AND r.finish_reason = 'stop' AND r.refusal IS NULL
    AND c.deleted_at IS NULL
    AND length(r.text) >= $shortest
    AND r.created_date >= $since
    AND r.created_date <= $until
    AND r.source = $source
    AND r.model LIKE $model
ORDER BY r.created_at DESC, r.source, r.completion_id, r.choice_index
LIMIT $limit
