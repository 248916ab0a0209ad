-- The tools that models called: how often, with invalid arguments, and without an answer.
-- narrow: tool_name, calls, with_invalid_arguments, unanswered_inputs, completions
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
WITH answers AS (
    SELECT DISTINCT source, completion_id, tool_call_id
    FROM messages
    WHERE role = 'tool' AND tool_call_id IS NOT NULL
)
-- A call in a reply is answered in a later completion: only inputs can lack their answer here.
SELECT
    c.tool_name,
    count(*) AS calls,
    count(DISTINCT c.completion_id) AS completions,
    count_if(c.direction = 'output') AS in_replies,
    count_if(c.tool_type = 'function' AND c.arguments IS NULL) AS with_invalid_arguments,
    count_if(c.direction = 'input' AND a.tool_call_id IS NULL) AS unanswered_inputs,
    max(c.created_at) AS last_called
FROM tool_calls AS c
JOIN completions AS k USING (source, completion_id)
LEFT JOIN answers AS a
    ON a.source = c.source AND a.completion_id = c.completion_id
    AND a.tool_call_id = c.tool_call_id
WHERE true
    AND k.created_date >= $since
    AND k.created_date <= $until
    AND c.source = $source
    AND k.model LIKE $model
GROUP BY c.tool_name
ORDER BY calls DESC, c.tool_name
