-- One row for each stored message that the source no longer sent when its completion had changed.
CREATE VIEW message_history AS
SELECT
    source, completion_id, message_id, observed_at, message_index, direction, role, content, text,
    created_at, created_date, raw
FROM {{message_history}};
