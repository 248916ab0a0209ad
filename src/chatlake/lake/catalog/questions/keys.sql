-- The metadata keys in use: how many completions have each, and how many different values.
-- narrow: key, completions, percent_of_completions, most_common_value, different_values
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
WITH chosen AS (
    SELECT metadata, created_at
    FROM completions
    WHERE true
        AND created_date >= $since
        AND created_date <= $until
        AND source = $source
        AND model LIKE $model
),
entries AS (
    SELECT unnest(map_keys(metadata)) AS key, unnest(map_values(metadata)) AS "value", created_at
    FROM chosen
),
by_value AS (
    SELECT key, "value", count(*) AS completions, max(created_at) AS last_used
    FROM entries
    GROUP BY ALL
)
SELECT
    key,
    sum(completions)::BIGINT AS completions,
    round(100 * sum(completions) / (SELECT count(*) FROM chosen), 1) AS percent_of_completions,
    count(*) AS different_values,
    first("value" ORDER BY completions DESC, "value") AS most_common_value,
    max(last_used) AS last_used
FROM by_value
GROUP BY key
ORDER BY completions DESC, key
