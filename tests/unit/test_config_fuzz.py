"""Whatever stands in the file: it loads, or a ConfigurationError says why."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chatlake.config import json_schema, parse_settings
from chatlake.config.document import parse
from chatlake.config.problems import key_path
from chatlake.errors import ConfigurationError
from tests.support import examples

VALIDATOR = Draft202012Validator(json_schema())
SECTIONS: list[tuple[str | int, ...]] = [
    (),
    ("sources", 0),
    ("sources", 0, "select"),
    ("sources", 0, "pace"),
    ("schedule",),
    ("runner",),
]
KEYS = sorted(
    {name for part in json_schema()["$defs"].values() for name in part["properties"]}
    | set(json_schema()["properties"])
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.from_regex(r"[0-9]{1,3}(ms|[wdhms]){1,2}", fullmatch=True),
    st.sampled_from(
        ["threads", "store", "group", "api-key", "http://h/v1", "${A}", "$${", "${A:-1}"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=3),
    ),
    max_leaves=6,
)


def _good() -> dict[str, Any]:
    source = {"name": "a", "base_url": "https://h", "api_key": "${K}", "select": {}, "pace": {}}
    return {"version": 1, "lake": "x", "sources": [source], "schedule": {}, "runner": {}}


def _check(text: str) -> None:
    refusal = None
    try:
        parse_settings(text, Path("file"))
    except ConfigurationError as problem:
        refusal = problem.message
    if refusal is None:
        marks = list(VALIDATOR.iter_errors(parse(text, "file").data))
        assert not marks, f"loaded, but the schema says {marks[0].message}"
    else:
        assert all(line.startswith("file:") for line in refusal.splitlines())
        assert all(line.isprintable() for line in refusal.splitlines())


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(SECTIONS), st.sampled_from(KEYS), VALUES)
def test_any_value_of_any_key(section: tuple[str | int, ...], key: str, value: Any) -> None:
    """Any value under any key loads and suits the schema, or is refused by name."""
    data = _good()
    place: Any = data
    for step in section:
        place = place[step]
    place[key] = value
    _check(yaml.safe_dump(data, allow_unicode=True))


@settings(max_examples=examples(200), deadline=None)
@given(st.text(alphabet="ab:{}[]&*!|>-?#%@`\"'\n\t $0", max_size=40) | st.text(max_size=40))
def test_any_text(text: str) -> None:
    """Any text at all is a configuration or a ConfigurationError, never another exception."""
    _check(text)


def test_key_paths_read_as_people_write_them() -> None:
    """Locations are shown with dots and indices, strange keys escaped."""
    assert key_path(("sources", 0, "pace", "timeout")) == "sources[0].pace.timeout"
    assert key_path(()) == "the file"
    assert key_path(("a\nb",)) == r"'a\nb'"
