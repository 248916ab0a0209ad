-- One row for each source, UTC day and model; a sum is NULL where no summand is known.
CREATE VIEW daily_usage AS
SELECT
    source, created_date, model,
    count(*) AS completions,
    sum(message_count)::BIGINT AS messages,
    sum(image_count)::BIGINT AS images,
    sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens,
    sum(total_tokens)::BIGINT AS total_tokens
FROM completions
GROUP BY source, created_date, model;
