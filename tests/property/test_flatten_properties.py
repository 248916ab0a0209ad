"""Whatever an API sends, nothing is lost, every column is valid, every key is unique."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chatlake.backup.rows import columns_of
from chatlake.lake.files.arrow import to_table
from chatlake.model.digest import completion_digest
from chatlake.model.objects import read_completion
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, MESSAGES
from tests.flat import Rows, exact, rebuilt, rows_of

SHA256 = "ab" * 32
JSON_COLUMNS = {"raw", "tools", "tool_choice", "response_format", "tool_calls"}

# All strategies draw JSON texts, not values: escapes and digits matter here.
plain_strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(
    lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0)
)
odd_strings = st.lists(
    st.sampled_from(
        [r"\ud83d", r"\uDE00", r"\ud83d\ude00", r"\\", r"\"", r"\/", r"\u0000", "ud83d", "x", "é",
         "chatlake-image:", SHA256, ";", "data:image/png;base64,AAAA", "data:", "{", "]", ","]
    ),
    max_size=6,
).map(lambda pieces: f'"{"".join(pieces)}"')  # fmt: skip
strings = plain_strings | odd_strings
numbers = st.sampled_from(
    ["0", "-0.0", "1.5", "1e3", "1e400", "-1e999", "1e-400", "12345678901234567890",
     "-9042522494295578869", "9223372036854775808", "9" * 400]
) | st.integers().map(str)  # fmt: skip
nulls = st.just("null")
scalars = nulls | st.sampled_from(["true", "false"]) | numbers | strings


def arrays(items: st.SearchStrategy[str], max_size: int = 3) -> st.SearchStrategy[str]:
    """Texts of arrays."""
    return st.lists(items, max_size=max_size).map(lambda found: f"[{', '.join(found)}]")


def objects_of(fields: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[str]:
    """Texts of objects; keys and values are texts."""
    return fields.map(lambda found: f"{{{', '.join(f'{k}: {v}' for k, v in found.items())}}}")


anything = st.recursive(
    scalars,
    lambda inner: arrays(inner) | objects_of(st.dictionaries(strings, inner, max_size=3)),
    max_leaves=5,
)


def record(**fields: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects with these fields, each of them perhaps missing or anything, and with others."""
    known = {json.dumps(name): usual | usual | anything for name, usual in fields.items()}
    # A repeated key would leave it open which of both is meant.
    others = st.dictionaries(strings.filter(lambda key: key not in known), anything, max_size=2)
    return objects_of(
        st.tuples(st.fixed_dictionaries({}, optional=known), others).map(
            lambda two: two[0] | two[1]
        )
    )


images = st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode())
urls = (
    st.sampled_from(["https://example.org/a.png", "data:,x"]).map(json.dumps)
    | images.map(lambda text: json.dumps(f"data:image/png;base64,{text}"))
    | images.map(lambda text: json.dumps(f"data:image/gif;base64,{text}").replace("/", r"\/"))
    | strings
)
parts = record(
    type=st.sampled_from(['"text"', '"image_url"']),
    text=strings,
    image_url=record(url=urls, detail=strings) | urls,
)
contents = strings | arrays(parts)
tool_calls = arrays(record(id=strings, function=record(name=strings, arguments=strings)))
roles = st.sampled_from(['"user"', '"assistant"', '"system"'])


def ending_with(text: str, fields: str) -> str:
    """Add fields to an object; of a repeated key the last counts, so theirs do."""
    return f"{text[:-1]}{', ' if text != '{}' else ''}{fields}}}"


def named(text: str) -> st.SearchStrategy[str]:
    """Give a message an id: a usual one, one like a reply's, or none of this completion."""
    names = st.sampled_from(["c-0", "c-1", "c-choice-0", "7"])
    return names.map(lambda name: ending_with(text, f'"id": "{name}"'))


messages = st.lists(
    record(
        role=roles,
        content=contents,
        content_parts=arrays(parts),
        name=strings,
        tool_calls=tool_calls,
    ),
    max_size=4,
).flatmap(lambda found: st.tuples(*map(named, found)))
choices = arrays(
    record(
        index=st.integers(-1, 4).map(str),
        message=record(role=roles, content=contents, refusal=strings, tool_calls=tool_calls),
        finish_reason=strings,
    )
)
created = st.integers(0, 4_000_000_000).map(str) | nulls
completions = st.builds(
    lambda text, time: ending_with(text, f'"created": {time}, "id": "c"'),
    record(
        model=strings,
        usage=record(prompt_tokens=numbers),
        seed=numbers,
        temperature=numbers,
        tools=arrays(anything),
        tool_choice=strings,
        choices=choices,
        metadata=objects_of(st.dictionaries(strings, strings | scalars, max_size=3)),
    ),
    created,
)


def distinct(sent: tuple[str, ...]) -> list[str]:
    """Leave out objects that come twice: the pager takes them for one."""
    return list(dict.fromkeys(sent))


@given(completions, messages.map(distinct))
def test_nothing_is_ever_lost(sent: str, inputs: list[str]) -> None:
    """The rows rebuild the very JSON values that were sent, as `export raw` does."""
    rows = rows_of(sent, inputs)
    expected = {"completion": exact(sent), "messages": [exact(text) for text in inputs]}
    assert rebuilt(rows) == expected


@given(completions, messages.map(distinct))
def test_every_row_fits_the_lake(sent: str, inputs: list[str]) -> None:
    """Columns have their types, text is valid Unicode, JSON is what strict readers take."""
    rows = rows_of(sent, inputs)
    tables = {
        COMPLETIONS: [rows.flat.completion],
        MESSAGES: rows.flat.messages,
        CONTENT_PARTS: rows.flat.content_parts,
    }
    for table, found in tables.items():
        if found:
            to_table(table, columns_of(table, found)).validate(full=True)
    for row in (rows.completion, *rows.messages, *rows.parts):
        for name in JSON_COLUMNS & row.keys():
            if row[name] is not None:
                msgspec.json.decode(row[name], type=msgspec.Raw)


@given(completions, messages.map(distinct))
def test_every_key_is_unique_and_every_row_has_its_message(sent: str, inputs: list[str]) -> None:
    """One row a key; positions without gaps; counts that are the rows'."""
    rows = rows_of(sent, inputs)
    ids = [row["message_id"] for row in rows.messages]
    assert len(set(ids)) == len(ids)
    assert [row["message_index"] for row in rows.messages] == list(range(len(ids)))
    assert rows.completion["message_count"] == len(ids)
    assert rows.completion["choice_count"] in (None, len(rows.outputs))
    for row in rows.messages:
        own = [part for part in rows.parts if part["message_id"] == row["message_id"]]
        assert [part["part_index"] for part in own] == list(range(row["part_count"]))
        assert {part["direction"] for part in own} <= {row["direction"]}
    assert_images_are_there(rows)


def assert_images_are_there(rows: Rows) -> None:
    """Assert that each hash has its bytes, and that an embedded image has no URL."""
    hashes = {part["image_sha256"] for part in rows.parts} - {None}
    assert hashes == set(rows.flat.images)
    for part in rows.parts:
        assert part["image_sha256"] is None or part["image_url"] is None
        assert part["image_url"] is None or not part["image_url"].lower().startswith("data:")


@given(completions, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_spelling(sent: str, random: Any) -> None:
    """Another order of keys and other white space are the same version, where JSON has one form."""
    value = exact(sent)
    try:
        plain = msgspec.json.decode(sent)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    keys = list(value)
    random.shuffle(keys)
    turned = json.dumps({key: plain[key] for key in keys}, indent=1)
    if msgspec.json.decode(turned) == plain:
        one, other = read_completion(sent.encode()), read_completion(turned.encode())
        assert completion_digest(one.sent) == completion_digest(other.sent)
