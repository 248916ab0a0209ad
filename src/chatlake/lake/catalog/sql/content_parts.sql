-- One row for each part of a message; a plain string content is one text part.
CREATE VIEW content_parts AS
SELECT
    source, completion_id, message_id, message_index, direction, part_index, type, text, image_url,
    image_detail, image_sha256, media_type, image_bytes, part_source, created_at, created_date, raw,
    raw_exact
FROM {{content_parts}};
