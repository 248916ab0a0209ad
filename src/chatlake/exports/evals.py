"""`export eval`: samples for evaluation programs: id, input, target, metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, Literal

from chatlake.exports.chat_content import plain_text
from chatlake.exports.destination import open_export
from chatlake.exports.narrowing import Selection
from chatlake.exports.report import CountedFile, ExportReport, SkippedError, as_line
from chatlake.exports.stored import Json, as_list, as_object
from chatlake.exports.training_lines import (
    TrainingLine,
    TrainingOptions,
    options_given,
    training_lines,
)
from chatlake.lake.lake import Lake

Program = Literal["inspect", "promptfoo"]

_INSPECT_ROLES: Final = {"developer": "system"}


def export_eval(
    lake: Lake,
    output: str | os.PathLike[str],
    selection: Selection | None = None,
    options: TrainingOptions | None = None,
    program: Program = "inspect",
) -> ExportReport:
    """Write a sample for each reply that can be one, and the report beside it.

    The target is the reply's text, or its tool calls as JSON. UsageError for a bad condition,
    option or path; LakeDamagedError for a damaged lake.
    """
    selection = selection or Selection()
    options = options or TrainingOptions()
    given = selection.as_options() | options_given(options) | {"for": program}
    given.pop("train")
    report = ExportReport("eval", lake.state.number, given)
    build = inspect_sample if program == "inspect" else promptfoo_test
    with (
        training_lines(lake, selection, options, report) as lines,
        open_export(output, is_json=True) as opened,
    ):
        file = CountedFile(opened)
        for line in lines:
            try:
                sample = as_line(build(line))
            except SkippedError as skipped:
                report.skip(skipped.reason)
                continue
            file.write(sample)
            report.wrote()
    report.files.add(file.entry(Path(output).name))
    report.write_beside(output)
    return report


def inspect_sample(line: TrainingLine) -> Json:
    """Return a sample for Inspect's `json_dataset`.

    SkippedError if the arguments of a call are not a JSON object.
    """
    *inputs, reply = line.line["messages"]
    return {
        "id": _identifier(line),
        "input": [_inspect_message(message) for message in inputs],
        "target": _target(reply),
        "metadata": _metadata(line),
    }


def promptfoo_test(line: TrainingLine) -> Json:
    """Return a promptfoo test case; with the prompt `{{input}}`, the model gets the original input.

    The input is JSON in a string, since promptfoo makes a test of each item of a list.
    """
    *inputs, reply = line.line["messages"]
    bare = [{key: value for key, value in each.items() if key != "weight"} for each in inputs]
    identifier = _identifier(line)
    values = {
        "id": identifier,
        "input": json.dumps(bare, ensure_ascii=False),
        "target": _target(reply),
    }
    return {"description": identifier, "vars": values, "metadata": _metadata(line)}


def _identifier(line: TrainingLine) -> str:
    index = line.choice.get("index")
    if len(line.stored.choices) > 1 and isinstance(index, int) and index:
        return f"{line.stored.completion_id}-choice-{index}"
    return line.stored.completion_id


def _target(reply: Json) -> str:
    if calls := reply.get("tool_calls"):
        functions = [call["function"] for call in calls]
        return json.dumps(functions, ensure_ascii=False)
    return plain_text(reply.get("content"))


def _metadata(line: TrainingLine) -> Json:
    stored = line.stored
    found: dict[str, Any] = {
        "source": stored.source,
        "model": stored.completion.get("model"),
        "created_at": stored.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "finish_reason": line.choice.get("finish_reason"),
        "metadata": stored.metadata,
        "tools": line.line.get("tools"),
    }
    return {name: value for name, value in found.items() if value}


def _inspect_message(sent: Json) -> Json:
    role = sent["role"]
    content = sent.get("content")
    message: Json = {
        "role": _INSPECT_ROLES.get(role, role),
        "content": [_inspect_part(part) for part in content]
        if isinstance(content, list)
        else content or "",
    }
    if calls := as_list(sent.get("tool_calls")):
        message["tool_calls"] = [_inspect_call(call) for call in calls]
    if role == "tool":
        message["tool_call_id"] = sent["tool_call_id"]
    return message


def _inspect_part(part: Json) -> Json:
    if part["type"] == "text":
        return part
    image = part["image_url"]
    return {"type": "image", "image": image["url"], "detail": image.get("detail", "auto")}


def _inspect_call(call: Json) -> Json:
    function = call["function"]
    arguments = json.loads(function["arguments"])
    if arguments != as_object(arguments):
        raise SkippedError("arguments_not_object")
    return {
        "id": call["id"],
        "type": "function",
        "function": function["name"],
        "arguments": arguments,
    }
