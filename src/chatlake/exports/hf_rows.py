"""Rows of a Hugging Face dataset: columns, features, and how a line for training becomes a row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from chatlake.exports.report import SkippedError
from chatlake.exports.stored import Json, as_list
from chatlake.exports.training_lines import TrainingLine
from chatlake.model.image_references import decode_data_url

Style = Literal["messages", "prompt-completion"]

_TEXT: Final = {"dtype": "string", "_type": "Value"}
_JSON: Final = {"_type": "Json"}
_KINDS: Final[dict[str, pa.DataType]] = {
    "string": pa.string(),
    "binary": pa.binary(),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rows look like: with images, contents are lists of parts for every message."""

    style: Style = "messages"
    with_images: bool = False

    @property
    def features(self) -> dict[str, Any]:
        """Column -> feature, as `datasets.Features.from_dict` takes it."""
        talk = _each(_message(with_images=self.with_images))
        names = ("messages",) if self.style == "messages" else ("prompt", "completion")
        columns: dict[str, Any] = {"id": _TEXT, **dict.fromkeys(names, talk), "tools": _JSON}
        if self.with_images:
            columns["images"] = _each({"_type": "Image"})
        return columns | {
            "model": _TEXT,
            "created_at": {"dtype": "timestamp[us, tz=UTC]", "_type": "Value"},
            "finish_reason": _TEXT,
            "metadata": _TEXT,
        }

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with the features in its metadata where `datasets` looks for them.

        It accepts them only if they match the file's types exactly: JSON is a separate type.
        """
        info = json.dumps({"info": {"features": self.features}})
        return self._schema(pa.json_(pa.string())).with_metadata({"huggingface": info})

    def table(self, rows: list[Json]) -> pa.Table:
        """Return rows as a table of that schema; Arrow creates nested JSON only by a cast."""
        plain = pa.Table.from_pylist(rows, schema=self._schema(pa.string()))
        return plain.cast(self.schema)

    def _schema(self, kind: pa.DataType) -> pa.Schema:
        return pa.schema(
            [pa.field(name, _arrow(feature, kind)) for name, feature in self.features.items()]
        )

    def row(self, line: TrainingLine) -> Json:
        """Return the row of a line; raises SkippedError if trainers could not read it."""
        images: list[Json] = []
        messages = [self._message(message, images) for message in line.line["messages"]]
        stored = line.stored
        tools = line.line.get("tools")
        talk: Json = {"messages": messages}
        if self.style == "prompt-completion":
            talk = {"prompt": messages[:-1], "completion": messages[-1:]}
        row: Json = {
            "id": stored.completion_id,
            **talk,
            "tools": json.dumps(tools, ensure_ascii=False) if tools else None,
            "model": _text(stored.completion.get("model")),
            "created_at": stored.created_at,
            "finish_reason": _text(line.choice.get("finish_reason")),
            "metadata": json.dumps(stored.metadata, ensure_ascii=False, sort_keys=True),
        }
        if self.with_images:
            row["images"] = images
        return row

    def _message(self, sent: Json, images: list[Json]) -> Json:
        message = {key: value for key, value in sent.items() if key != "weight"}
        content = message.get("content")
        if self.with_images:
            message["content"] = [] if content is None else _parts(content, images)
        elif isinstance(content, list):
            message["content"] = "\n".join(part["text"] for part in content)
        if calls := message.get("tool_calls"):
            message["tool_calls"] = [_call(call) for call in calls]
        return message


def _message(*, with_images: bool) -> dict[str, Any]:
    part = {"type": _TEXT, "text": _TEXT}
    call = {"id": _TEXT, "type": _TEXT, "function": {"name": _TEXT, "arguments": _JSON}}
    return {
        "role": _TEXT,
        "content": _each(part) if with_images else _TEXT,
        "name": _TEXT,
        "tool_calls": _each(call),
        "tool_call_id": _TEXT,
    }


def _each(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "List"}


def _arrow(feature: dict[str, Any], json_type: pa.DataType) -> pa.DataType:
    match feature.get("_type"):
        case "Value":
            return _KINDS[feature["dtype"]]
        case "Json":
            return json_type
        case "Image":
            return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        case "List":
            return pa.list_(_arrow(feature["feature"], json_type))
        case _:
            fields = [(name, _arrow(inner, json_type)) for name, inner in feature.items()]
            return pa.struct(fields)


def _parts(content: str | list[Json], images: list[Json]) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    parts = []
    for part in as_list(content):
        if part["type"] == "text":
            parts.append(part)
            continue
        found = decode_data_url(part["image_url"]["url"])
        if found is None:
            raise SkippedError("image_unusable")
        images.append({"bytes": found.data, "path": None})
        parts.append({"type": "image", "text": None})
    return parts


def _call(call: Json) -> Json:
    """Return a call whose arguments are an object, as chat templates write them."""
    arguments = call["function"]["arguments"]
    if not isinstance(json.loads(arguments, parse_int=str, parse_float=str), dict):
        raise SkippedError("arguments_not_object")
    return call


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
