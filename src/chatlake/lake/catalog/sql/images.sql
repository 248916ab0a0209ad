-- One row for each embedded image of a source and day, with its bytes.
CREATE VIEW images AS
SELECT
    i.sha256, i.media_type, i.byte_size, i.width, i.height, i.data, i.created_date, i.source,
    coalesce(p.reference_count, 0) AS reference_count
FROM {{images}} AS i
LEFT JOIN (
    SELECT source, created_date, image_sha256, count(*) AS reference_count
    FROM content_parts
    WHERE image_sha256 IS NOT NULL
    GROUP BY ALL
) AS p
    ON p.source = i.source AND p.created_date = i.created_date AND p.image_sha256 = i.sha256;
