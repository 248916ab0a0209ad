-- The system prompts in use: how often, since when, until when, with which models.
-- since DATE: The first day to count.
-- until DATE: The last day to count.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
-- limit NUMBER = 50: How many prompts to show.
SELECT
    count(*) AS completions,
    min(created_date) AS first_day,
    max(created_date) AS last_day,
    string_agg(DISTINCT model, ', ' ORDER BY model) AS models,
    length(text) AS characters,
    text AS system_prompt
FROM messages
WHERE direction = 'input' AND role IN ('system', 'developer') AND message_index = 0
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY text
ORDER BY completions DESC, last_day DESC, text
LIMIT $limit
