-- One row for each key of a completion's metadata.
CREATE VIEW metadata AS
SELECT
    source, completion_id, created_at, model,
    unnest(map_keys(metadata)) AS key,
    unnest(map_values(metadata)) AS value,
    created_date
FROM completions;
