-- One row for each completion: what its tokens cost by the prices of the configuration, in dollars.
CREATE VIEW costs AS
WITH priced AS (
    SELECT
        m.model, m.created_date, p.model AS price_model, p.valid_from AS price_valid_from, p.input,
        p.cached_input, p.output
    FROM (SELECT DISTINCT model, created_date FROM completions) AS m
    JOIN ledger.prices AS p ON m.model GLOB p.model AND p.valid_from <= m.created_date
    -- The most exact pattern decides, then the newest price.
    QUALIFY row_number() OVER (
        PARTITION BY m.model, m.created_date
        ORDER BY p.model = m.model DESC, length(p.model) DESC, p.model, p.valid_from DESC
    ) = 1
)
SELECT
    c.source, c.completion_id, c.created_at, c.created_date, c.model, c.service_tier,
    c.prompt_tokens, c.cached_tokens, c.completion_tokens, p.price_model, p.price_valid_from,
    round((c.prompt_tokens - coalesce(c.cached_tokens, 0)) * p.input / 1e6, 12) AS input_dollars,
    CASE
        WHEN c.prompt_tokens IS NOT NULL
        THEN round(coalesce(c.cached_tokens, 0) * coalesce(p.cached_input, p.input) / 1e6, 12)
    END AS cached_input_dollars,
    round(c.completion_tokens * p.output / 1e6, 12) AS output_dollars,
    round(input_dollars + cached_input_dollars + output_dollars, 12) AS dollars
FROM completions AS c
LEFT JOIN priced AS p ON p.model = c.model AND p.created_date = c.created_date;
