-- The values of a metadata key side by side: length, truncation, refusals, tool calls.
-- narrow: value, completions, percent_refused_or_filtered, percent_cut, completion_tokens_avg, percent_with_tool_calls
-- key TEXT: The metadata key, for example an experiment's name.
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
-- needs: key
WITH replies AS (
    SELECT
        source, completion_id, created_date,
        count_if(finish_reason = 'length') > 0 AS is_cut,
        count_if(refusal IS NOT NULL OR finish_reason = 'content_filter') > 0 AS is_refused,
        count_if(tool_calls IS NOT NULL) > 0 AS calls_tools,
        sum(length(text)) AS characters
    FROM messages
    WHERE direction = 'output'
        AND created_date >= $since
        AND created_date <= $until
    GROUP BY ALL
)
SELECT
    coalesce(metadata[$key], '(not set)') AS "value",
    count(*) AS completions,
    round(avg(prompt_tokens))::BIGINT AS prompt_tokens_avg,
    round(avg(completion_tokens))::BIGINT AS completion_tokens_avg,
    median(characters)::BIGINT AS reply_characters_median,
    round(100 * avg(is_cut::INTEGER), 1) AS percent_cut,
    round(100 * avg(is_refused::INTEGER), 1) AS percent_refused_or_filtered,
    round(100 * avg(calls_tools::INTEGER), 1) AS percent_with_tool_calls
FROM completions
LEFT JOIN replies USING (source, completion_id, created_date)
WHERE true
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY ALL
ORDER BY completions DESC, "value"
