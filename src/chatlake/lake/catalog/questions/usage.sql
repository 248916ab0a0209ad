-- Completions and tokens of each day and model.
-- narrow: day, model, completions, total_tokens, prompt_tokens, completion_tokens
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
SELECT
    created_date AS day,
    model,
    count(*) AS completions,
    sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(cached_tokens)::BIGINT AS of_them_cached,
    sum(completion_tokens)::BIGINT AS completion_tokens,
    sum(reasoning_tokens)::BIGINT AS of_them_reasoning,
    sum(total_tokens)::BIGINT AS total_tokens
FROM completions
WHERE true
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY ALL
ORDER BY day DESC, completions DESC, model
