-- One row for each completion that has the same inputs as another of its source, whatever the replies.
CREATE VIEW duplicates AS
WITH inputs AS (
    SELECT
        source, completion_id, created_at, created_date,
        arg_max(model, message_index) AS model,
        md5(
            string_agg(
                concat_ws(
                    chr(31), coalesce(role, ''), coalesce(name, ''), coalesce(text, ''),
                    CASE
                        WHEN part_count > 1 OR (part_count = 1 AND text IS NULL)
                        THEN coalesce(raw ->> '$.content_parts', raw ->> '$.content')
                    END
                ),
                chr(30) ORDER BY message_index
            )
        ) AS inputs_md5
    FROM messages
    WHERE direction = 'input'
    GROUP BY source, completion_id, created_at, created_date
)
SELECT
    source, completion_id, created_at, created_date, model, inputs_md5,
    count(*) OVER same AS copies,
    first_value(completion_id) OVER (same ORDER BY created_at, completion_id)
        AS first_completion_id
FROM inputs
WINDOW same AS (PARTITION BY source, inputs_md5)
QUALIFY copies > 1;
