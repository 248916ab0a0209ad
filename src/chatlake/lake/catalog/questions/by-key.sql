-- Completions and tokens of each value of a metadata key, such as team or customer.
-- narrow: value, completions, total_tokens, percent_of_tokens, percent_of_completions, last_day
-- key TEXT: The metadata key. `chatlake ask keys` lists those in use.
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
-- needs: key
SELECT
    coalesce(metadata[$key], '(not set)') AS "value",
    count(*) AS completions,
    round(100 * count(*) / sum(count(*)) OVER (), 1) AS percent_of_completions,
    sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens,
    sum(total_tokens)::BIGINT AS total_tokens,
    round(100 * sum(total_tokens) / sum(sum(total_tokens)) OVER (), 1) AS percent_of_tokens,
    min(created_date) AS first_day,
    max(created_date) AS last_day
FROM completions
WHERE true
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY ALL
ORDER BY total_tokens DESC NULLS LAST, "value"
