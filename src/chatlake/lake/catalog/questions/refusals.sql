-- The share of replies that refuse or were filtered, by model.
-- narrow: model, replies, refusals, percent_refused, newest_refusal
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
SELECT
    model,
    count(*) AS replies,
    count(refusal) AS refusals,
    count_if(finish_reason = 'content_filter') AS filtered,
    round(100 * count(refusal) / count(*), 2) AS percent_refused,
    max(created_at) FILTER (refusal IS NOT NULL) AS last_refusal,
    arg_max(completion_id, created_at) FILTER (refusal IS NOT NULL) AS newest_refusal
FROM messages
WHERE direction = 'output'
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY model
ORDER BY percent_refused DESC, replies DESC, model
