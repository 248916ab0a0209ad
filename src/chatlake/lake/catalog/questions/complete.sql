-- Is the backup complete? For each source: days without completions, the last complete backup, gaps, deletions.
-- narrow: source, completions, last_status, last_complete_backup, open_gaps, days_without_any, last_day
-- source TEXT: Only this source.
WITH days AS (
    SELECT source, created_date, count(*) AS completions, count(deleted_at) AS deleted
    FROM completions
    GROUP BY ALL
),
stored AS (
    SELECT
        source,
        min(created_date) AS first_day,
        max(created_date) AS last_day,
        sum(completions)::BIGINT AS completions,
        sum(deleted)::BIGINT AS deleted_at_source,
        date_diff('day', min(created_date), max(created_date)) + 1 - count(*) AS days_without_any
    FROM days
    GROUP BY source
),
last_run AS (
    SELECT
        source,
        max(finished_at) FILTER (status = 'complete') AS last_complete_backup,
        arg_max(status, started_at) AS last_status
    FROM runs
    GROUP BY source
),
gaps AS (
    SELECT source, count(*) AS open_gaps, min(first_attempt_at) AS oldest_gap
    FROM failures
    GROUP BY source
)
SELECT
    source, completions, first_day, last_day, days_without_any, deleted_at_source,
    coalesce(open_gaps, 0) AS open_gaps, oldest_gap, last_status, last_complete_backup
FROM last_run
FULL JOIN stored USING (source)
LEFT JOIN gaps USING (source)
WHERE true
    AND source = $source
ORDER BY source
