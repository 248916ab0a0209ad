-- One row for each embedded image, however many sources and days have it.
CREATE VIEW all_images AS
SELECT
    sha256,
    min(media_type) AS media_type,
    min(byte_size) AS byte_size,
    min(width) AS width,
    min(height) AS height,
    any_value(data) AS data,
    min(created_date) AS first_created_date,
    max(created_date) AS last_created_date,
    list_sort(list(DISTINCT source)) AS sources,
    sum(reference_count)::BIGINT AS reference_count
FROM images
GROUP BY sha256;
