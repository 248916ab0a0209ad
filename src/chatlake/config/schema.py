"""The JSON Schema of the configuration file, for editors."""

from __future__ import annotations

from typing import Any

from chatlake.config.settings import Settings


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of the file as people write it, references included.

    It accepts every file that `load_settings` accepts. It cannot say that names of sources
    differ, that time bounds are in order, or that variables, zones and files exist.
    """
    schema = Settings.model_json_schema()
    _drop_titles(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chatlake configuration",
        **schema,
        "description": "What chatlake backs up, from where, to where, how fast and when.",
    }


def _drop_titles(value: Any) -> None:
    """Remove the titles that pydantic makes of the keys' names."""
    if isinstance(value, dict):
        if isinstance(value.get("title"), str):
            del value["title"]
        for item in value.values():
            _drop_titles(item)
    elif isinstance(value, list):
        for item in value:
            _drop_titles(item)
