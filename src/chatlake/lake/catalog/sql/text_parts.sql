-- The content parts of type text.
CREATE VIEW text_parts AS
SELECT * FROM content_parts WHERE type = 'text';
