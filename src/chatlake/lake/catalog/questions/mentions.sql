-- The conversations that mention some words, newest first. `chatlake search` is quicker.
-- narrow: completion_id, around_the_hit, created_at, model
-- words TEXT: The words, exactly as written, one after the other; case is ignored.
-- since DATE: The first day to look at.
-- until DATE: The last day to look at.
-- source TEXT: Only this source.
-- model TEXT: Only this model; % stands for any text.
-- limit NUMBER = 50: How many conversations to show.
-- needs: words
SELECT
    created_at,
    source,
    completion_id,
    model,
    count(*) AS messages_with_hit,
    arg_min(role, message_index) AS first_hit_by,
    arg_min(
        substr(text, greatest(1, position(lower($words) IN lower(text)) - 40), 160), message_index
    ) AS around_the_hit
FROM messages
WHERE contains(lower(text), lower($words))
    AND created_date >= $since
    AND created_date <= $until
    AND source = $source
    AND model LIKE $model
GROUP BY created_at, source, completion_id, model
ORDER BY created_at DESC, source, completion_id
LIMIT $limit
