-- Prompt tokens by model: median, 95th percentile, largest, and the share that was cached.
-- narrow: model, completions, p50, p95, largest, percent_cached
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
SELECT
    model,
    count(prompt_tokens) AS completions,
    median(prompt_tokens)::BIGINT AS p50,
    quantile_cont(prompt_tokens, 0.95)::BIGINT AS p95,
    max(prompt_tokens) AS largest,
    arg_max(completion_id, prompt_tokens) AS largest_completion,
    round(100 * sum(cached_tokens) / nullif(sum(prompt_tokens), 0), 1) AS percent_cached
FROM completions
WHERE true
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY ALL
ORDER BY completions DESC, model
