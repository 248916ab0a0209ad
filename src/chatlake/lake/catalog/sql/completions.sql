-- One row for each stored completion.
CREATE VIEW completions AS
SELECT
    source, completion_id, created_at, created_date, model, service_tier, system_fingerprint,
    request_id, finish_reasons, prompt_tokens, completion_tokens, total_tokens, cached_tokens,
    reasoning_tokens, temperature, top_p, presence_penalty, frequency_penalty, seed, tool_choice,
    tools, response_format, input_user, metadata, choice_count, message_count, image_count,
    first_seen_at, synced_at, deleted_at, run_id, raw, raw_exact,
    -- Not in the files: taken out of raw by the queries that ask for them, and by no others.
    nullif(json_extract(raw, '$.moderation'), 'null'::JSON) AS moderation,
    details[1] AS cache_write_tokens,
    details[2] AS prompt_text_tokens,
    details[3] AS prompt_image_tokens,
    details[4] AS completion_text_tokens,
    details[5] AS completion_image_tokens
FROM (
    SELECT
        *,
        [
            -- Whole numbers alone, as in the columns of the files: a text or true is none.
            CASE
                WHEN json_type(sent) NOT IN ('VARCHAR', 'BOOLEAN')
                    AND TRY_CAST(sent AS DOUBLE) % 1 = 0
                THEN TRY_CAST(sent AS BIGINT)
            END
            FOR sent IN json_extract(
                raw,
                [
                    '$.usage.prompt_tokens_details.cache_write_tokens',
                    '$.usage.prompt_tokens_details.text_tokens',
                    '$.usage.prompt_tokens_details.image_tokens',
                    '$.usage.completion_tokens_details.text_tokens',
                    '$.usage.completion_tokens_details.image_tokens'
                ]
            )
        ] AS details
    FROM {{completions}}
);
