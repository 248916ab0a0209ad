-- The content parts of type image_url: links, and embedded images by their SHA-256.
CREATE VIEW image_parts AS
SELECT * FROM content_parts WHERE type = 'image_url';
