"""Columns of `completions` that are read out of `raw`: right, NULL where missing, and lazy."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from chatlake.lake import Lake
from chatlake.model.manifest import Manifest
from tests import lake_rows
from tests.lake_rows import completion

NUMBERS = (
    "cache_write_tokens", "prompt_text_tokens", "prompt_image_tokens", "completion_text_tokens",
    "completion_image_tokens",
)  # fmt: skip
FULL = {
    "id": "full",
    "usage": {
        "prompt_tokens_details": {"cache_write_tokens": 1, "text_tokens": 2, "image_tokens": 3},
        "completion_tokens_details": {"text_tokens": 4, "image_tokens": 0},
    },
    "moderation": {"flagged": False},
}
NOTHING: dict[str, dict[str, Any]] = {
    "no usage": {}, "usage null": {"usage": None}, "usage a list": {"usage": [1]},
    "details null": {"usage": {"prompt_tokens_details": None}}, "moderation null": {"moderation": None},
    "no numbers": {
        "usage": {
            "prompt_tokens_details": {"text_tokens": "5", "image_tokens": True},
            "completion_tokens_details": {"text_tokens": [5], "image_tokens": {"a": 5}},
        }
    },
    "broken numbers": {
        "usage": {
            "prompt_tokens_details": {"text_tokens": 5.5, "image_tokens": 2**63},
            "completion_tokens_details": {"text_tokens": math.inf},
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A completion with everything, others with nothing or with nonsense."""
    lake = Lake.open(tmp_path_factory.mktemp("raw") / "lake", create=True)
    sent = {"full": FULL, "whole": {"usage": {"prompt_tokens_details": {"text_tokens": 7.0}}}}
    rows = [
        completion(key, raw=json.dumps(raw).replace("Infinity", "1e400"))
        for key, raw in {**sent, **NOTHING}.items()
    ]
    with lake.lock():
        found = {("completions", lake_rows.DAY): lake_rows.columns("completions", rows)}
        lake.commit(Manifest(added=lake.write_parts(found)))
    with lake.connect() as connection:
        yield connection


def values(views: duckdb.DuckDBPyConnection, key: str) -> tuple[Any, ...]:
    """Return what the columns hold of one completion."""
    (row,) = views.execute(
        f"SELECT {', '.join(NUMBERS)}, moderation FROM completions WHERE completion_id = $key",
        {"key": key},
    ).fetchall()
    return tuple(row)


def test_what_was_sent_is_there(views: duckdb.DuckDBPyConnection) -> None:
    """Each number in its own column, 0 included, and moderation as JSON."""
    *numbers, moderation = values(views, "full")
    assert numbers == [1, 2, 3, 4, 0]
    assert json.loads(moderation) == {"flagged": False}


def test_a_whole_number_with_a_point_is_one(views: duckdb.DuckDBPyConnection) -> None:
    """7.0 counts as 7, as in the columns of the files."""
    assert values(views, "whole")[1] == 7


@pytest.mark.parametrize("key", NOTHING)
def test_what_is_missing_or_no_number_is_null(views: duckdb.DuckDBPyConnection, key: str) -> None:
    """The column is NULL: not 0, not a rounded number, and not an error."""
    assert values(views, key) == (None,) * 6


def test_types(views: duckdb.DuckDBPyConnection) -> None:
    """Counts are BIGINT like the others, and moderation is JSON."""
    found = dict(
        views.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'completions'"
        ).fetchall()
    )
    assert {found[name] for name in NUMBERS} == {"BIGINT"}
    assert found["moderation"] == "JSON"


@pytest.mark.parametrize("column", ["count(*)", "sum(prompt_tokens)", "max(model)"])
def test_a_query_that_does_not_ask_for_them_reads_no_raw(
    views: duckdb.DuckDBPyConnection, column: str
) -> None:
    """Its plan has neither `raw` nor a JSON function."""
    plan = views.execute(f"EXPLAIN SELECT {column} FROM completions").fetchall()[0][1]
    assert "raw" not in plan
    assert "json" not in plan
    asked = views.execute("EXPLAIN SELECT max(prompt_text_tokens) FROM completions").fetchall()
    assert "raw" in asked[0][1]


def test_a_filter_on_a_day_reaches_the_files(views: duckdb.DuckDBPyConnection) -> None:
    """It chooses the files before one is opened, as without these columns."""
    plan = views.execute(
        "EXPLAIN SELECT sum(prompt_text_tokens) FROM completions WHERE created_date = '2026-01-02'"
    ).fetchall()[0][1]
    assert "File Filters" in plan
