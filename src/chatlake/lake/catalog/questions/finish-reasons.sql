-- How replies ended, by model: complete, cut at the length limit, filtered, with tool calls.
-- narrow: model, ended_with, replies, percent_of_model
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
SELECT
    model,
    coalesce(finish_reason, '(none)') AS ended_with,
    count(*) AS replies,
    round(100 * count(*) / sum(count(*)) OVER (PARTITION BY model), 1) AS percent_of_model,
    max(created_at) AS last_seen,
    arg_max(completion_id, created_at) AS newest_completion
FROM messages
WHERE direction = 'output'
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY model, ended_with
ORDER BY model, replies DESC, ended_with
