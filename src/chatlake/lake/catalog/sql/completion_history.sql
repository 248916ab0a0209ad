-- One row for each version of a completion that a backup saw, and for its deletion.
CREATE VIEW completion_history AS
WITH superseded AS (
    SELECT source, created_date, completion_id, observed_at, change, raw
    FROM {{history}}
)
SELECT source, completion_id, observed_at, change, raw, created_date
FROM superseded
UNION ALL
SELECT
    c.source, c.completion_id,
    CASE WHEN s.completion_id IS NULL THEN c.first_seen_at ELSE c.synced_at END AS observed_at,
    CASE WHEN s.completion_id IS NULL THEN 'created' ELSE 'changed' END AS change,
    c.raw, c.created_date
FROM completions AS c
LEFT JOIN (SELECT DISTINCT source, created_date, completion_id FROM superseded) AS s
    ON s.source = c.source
    AND s.created_date = c.created_date
    AND s.completion_id = c.completion_id
UNION ALL
SELECT source, completion_id, deleted_at AS observed_at, 'deleted' AS change, raw, created_date
FROM completions
WHERE deleted_at IS NOT NULL;
