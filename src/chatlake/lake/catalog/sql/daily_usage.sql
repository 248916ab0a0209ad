-- One row for each source, UTC day and model; a sum is NULL if none of its values is known.
CREATE VIEW daily_usage AS
SELECT
    c.source, c.created_date, c.model,
    count(*) AS completions,
    -- A completion whose inputs are missing has its replies all the same.
    sum(coalesce(c.message_count, m.held))::BIGINT AS messages,
    sum(c.image_count)::BIGINT AS images,
    sum(c.prompt_tokens)::BIGINT AS prompt_tokens,
    sum(c.completion_tokens)::BIGINT AS completion_tokens,
    sum(c.total_tokens)::BIGINT AS total_tokens,
    sum(c.cached_tokens)::BIGINT AS cached_tokens,
    sum(c.reasoning_tokens)::BIGINT AS reasoning_tokens,
    count(*) FILTER (m.refused) AS refusals,
    string_agg(DISTINCT c.service_tier, ', ' ORDER BY c.service_tier) AS service_tier
FROM completions AS c
LEFT JOIN (
    SELECT
        source, created_date, completion_id, count(*) AS held,
        bool_or(direction = 'output' AND refusal IS NOT NULL) AS refused
    FROM messages
    GROUP BY ALL
) AS m
    ON m.source = c.source
    AND m.created_date = c.created_date
    AND m.completion_id = c.completion_id
GROUP BY c.source, c.created_date, c.model;
