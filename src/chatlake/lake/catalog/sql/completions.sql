-- One row for each stored completion.
CREATE VIEW completions AS
SELECT
    source, completion_id, created_at, created_date, model, service_tier, system_fingerprint,
    request_id, finish_reasons, prompt_tokens, completion_tokens, total_tokens, cached_tokens,
    reasoning_tokens, temperature, top_p, presence_penalty, frequency_penalty, seed, tool_choice,
    tools, response_format, input_user, metadata, choice_count, message_count, image_count,
    first_seen_at, synced_at, deleted_at, run_id, raw, raw_exact
FROM {{completions}};
