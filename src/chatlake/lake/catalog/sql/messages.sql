-- One row for each message: the inputs in order, then the output of every choice.
CREATE VIEW messages AS
SELECT
    source, completion_id, message_id, message_index, direction, choice_index, role, name, content,
    text, refusal, tool_call_id, tool_calls, finish_reason, part_count, created_at, created_date,
    model, raw, raw_exact, echo_raw, invalid_argument_calls
FROM {{messages}};
