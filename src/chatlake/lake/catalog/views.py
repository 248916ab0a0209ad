"""The views of the catalogue and their SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

VIEWS: Final = (
    "completions", "messages", "content_parts", "text_parts", "image_parts", "images", "tool_calls",
    "metadata", "transcripts", "daily_usage", "completion_history", "message_history", "runs",
    "failures", "replies", "costs", "all_images", "continues", "duplicates",
)  # fmt: skip
"""Every view, each after those that it reads."""

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


@cache
def view_sql(view: str) -> str:
    """Return the statement that creates a view, with `{{table}}` where its files are read."""
    return files(__package__).joinpath(f"sql/{view}.sql").read_text(encoding="utf-8")


def names_files(view: str) -> bool:
    """Say whether a view names the files of a table itself, and not only other views."""
    return _PLACEHOLDER.search(view_sql(view)) is not None


def view_description(view: str) -> str:
    """Return the sentence at the top of the view's SQL."""
    return view_sql(view).partition("\n")[0].removeprefix("-- ")


def fill_in(sql: str, readers: Mapping[str, str]) -> str:
    """Put the expression that reads each table's files in place of `{{table}}`."""
    return _PLACEHOLDER.sub(lambda match: readers[match[1]], sql)


def reader(paths: Iterable[str]) -> str:
    """Return the expression that reads a table's files.

    The first must be the empty one, which has every column. All files of a table have the same
    columns, so DuckDB need not open each of them to plan a query (union_by_name would: with 10,000
    files seven times the time of a query on one day).
    """
    listed = ", ".join(quoted(literal(path)) for path in paths)
    return (
        f"read_parquet([{listed}], hive_partitioning = true, "
        "hive_types = {'source': VARCHAR, 'created_date': DATE})"
    )


def literal(path: str) -> str:
    """Return the glob that matches only this path, because DuckDB treats every path as a glob."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def quoted(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
