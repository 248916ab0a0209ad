-- One row for each completion whose inputs begin with the inputs and the reply of an earlier one.
CREATE VIEW continues AS
WITH said AS (
    SELECT
        source, completion_id, created_at, created_date, model, direction, message_index,
        -- Stored inputs often lack their tool calls and refusals: role, text and parts must agree.
        hash(
            coalesce(role, ''), coalesce(text, ''),
            CASE
                WHEN part_count > 1 OR (part_count = 1 AND text IS NULL)
                THEN coalesce(raw ->> '$.content_parts', raw ->> '$.content')
            END
        ) AS word
    FROM messages
),
inputs AS (
    SELECT
        *,
        -- Of all messages up to this one: equal beginnings have equal ones.
        bit_xor(hash(message_index, word)) OVER (
            PARTITION BY source, created_date, completion_id ORDER BY message_index
        ) AS beginning
    FROM said
    WHERE direction = 'input'
),
whole AS (
    SELECT
        source, created_date, completion_id,
        count(*) AS input_count,
        arg_max(beginning, message_index) AS beginning
    FROM inputs
    GROUP BY ALL
),
ended AS (
    SELECT DISTINCT
        o.source, o.completion_id, o.created_at, o.created_date, w.input_count,
        xor(w.beginning, hash(w.input_count::INTEGER, o.word)) AS beginning
    FROM said AS o
    JOIN whole AS w USING (source, created_date, completion_id)
    WHERE o.direction = 'output'
),
events AS (
    SELECT
        source, completion_id, created_at, created_date, model, beginning,
        message_index + 1 AS shared_messages, NULL AS earlier
    FROM inputs
    UNION ALL
    SELECT
        source, completion_id, created_at, created_date, NULL, beginning, 0,
        {
            'earlier_completion_id': completion_id,
            'earlier_created_at': created_at,
            'earlier_created_date': created_date
        }
    FROM ended
),
found AS (
    -- The newest that ended so, before this one. No join: many may begin and end alike.
    SELECT
        *,
        last_value(earlier IGNORE NULLS) OVER (
            PARTITION BY source, beginning ORDER BY created_at, shared_messages, completion_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS latest
    FROM events
)
SELECT
    source, completion_id, created_at, created_date, model, unnest(latest), shared_messages
FROM found
WHERE shared_messages > 0 AND latest IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY source, created_date, completion_id ORDER BY shared_messages DESC
) = 1;
