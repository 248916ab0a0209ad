"""SQL of a user on a lake's views: what it may do, enforced by DuckDB and by a check of its tree.

There are two layers. `confine` (confinement.py) restricts the connection: it can open only the
files that the views name, and its configuration is locked. A file that may be read may also be
written by COPY, so `checked_question` looks at the tree that DuckDB's parser makes of the text, and
takes only nodes and table functions that are known to read. The text itself is never searched:
DuckDB reads comments, strings and quoted names in more ways than an expression can follow.

For a PIVOT that finds its columns itself, DuckDB returns no tree. Its tokens are checked instead,
and it runs as a subquery, in which DuckDB's binder accepts no statement that writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from chatlake.errors import UsageError
from chatlake.lake.catalog.sql_words import Word, is_one_statement, without_end, words_of

_READ_ONLY_HINT: Final = (
    "Only SELECT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN; --output FILE writes the result."
)
_READING_NODES: Final = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
)
# Every table function of DuckDB 1.5 and 2.0 that only reads. Later ones, and those that change
# settings or take a query as a string, are refused.
_READING_FUNCTIONS: Final = frozenset(
    """
    collations database_list database_size
    duckdb_approx_database_count duckdb_columns duckdb_connection_count duckdb_constraints
    duckdb_coordinate_systems duckdb_databases duckdb_dependencies duckdb_extensions
    duckdb_functions duckdb_indexes duckdb_keywords duckdb_memory duckdb_optimizers duckdb_schemas
    duckdb_sequences duckdb_settings duckdb_table_sample duckdb_tables duckdb_temporary_files
    duckdb_types duckdb_variables duckdb_views functions generate_series glob histogram
    histogram_values icu_calendar_names json_each json_tree parquet_bloom_probe
    parquet_file_metadata parquet_full_metadata parquet_kv_metadata parquet_metadata parquet_scan
    parquet_schema pg_timezone_names platform pragma_collations pragma_database_size
    pragma_platform pragma_show pragma_storage_info pragma_table_info pragma_user_agent
    pragma_version query_table range read_blob read_csv read_csv_auto read_json read_json_auto
    read_json_objects read_json_objects_auto read_ndjson read_ndjson_auto read_ndjson_objects
    read_parquet read_text repeat repeat_row show show_databases show_tables show_tables_expanded
    sniff_csv storage_info summary table_info test_all_types unnest user_agent version
    """.split()  # noqa: SIM905 - words read better than a column of strings
)
_READING_PRAGMAS: Final = frozenset(
    """
    show show_databases show_tables show_tables_expanded version database_list database_size
    table_info storage_info functions collations platform user_agent
    """.split()  # noqa: SIM905
)
_WRITING_WORDS: Final = frozenset({"copy", "insert", "update", "delete", "merge", "truncate"})
# The node types of a PIVOT that finds its columns itself: MULTI in DuckDB 2, its parts in 1.5.
_MULTI: Final = getattr(duckdb.StatementType, "MULTI", None)
_PARTS_OF_PIVOT: Final = frozenset(
    {
        duckdb.StatementType.CREATE,
        duckdb.StatementType.DROP,
        duckdb.StatementType.SELECT,
        duckdb.StatementType.SET,
    }
)
_ESCAPED_NAME: Final = re.compile(r"\bu&['\"]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """A query that only reads: the text to run; whether it is a SELECT, or asks for a plan."""

    text: str
    is_select: bool = False
    is_plan: bool = False


def checked_question(connection: duckdb.DuckDBPyConnection, query: str) -> Question:
    """Return the one question of `query`; UsageError unless it only reads. Raises duckdb.Error."""
    statements = connection.extract_statements(query)
    if not statements:
        raise UsageError("the query is empty", hint="Give one SELECT.")
    kinds = [statement.type for statement in statements]
    if kinds == [duckdb.StatementType.SELECT]:
        # Without a `;` or a comment at its end. DuckDB 1.5 returns a PRAGMA as the SELECT that it
        # stands for.
        text = without_end(statements[0].query)
        _require_reading_tree(connection, text)
        return Question(text, is_select=True)
    words = words_of(query)
    first = words[0].text if words else ""
    if first == "explain":
        return _checked_explain(connection, query, words)
    if kinds == [_MULTI] or (len(kinds) > 1 and is_one_statement(query)):
        return _checked_pivot(connection, query, kinds)
    if len(kinds) > 1:
        raise UsageError(
            f"expected one statement, got {len(kinds)}", hint="Run one statement at a time."
        )
    if first == "pragma" and len(words) > 1 and words[1].text in _READING_PRAGMAS:
        return Question(query)
    raise _does_more()


def require_condition(connection: duckdb.DuckDBPyConnection, condition: str) -> None:
    """Raise UsageError unless an SQL condition only reads; duckdb.Error if it is not SQL."""
    # The line break ends a comment.
    _require_reading_tree(connection, f"SELECT 1 WHERE (\n{condition}\n)")


def _checked_explain(
    connection: duckdb.DuckDBPyConnection, query: str, words: list[Word]
) -> Question:
    """EXPLAIN ANALYZE runs the query it explains, so the query is checked as if it stood alone."""
    analyze = len(words) > 1 and words[1].text == "analyze"
    rest = query[words[1 if analyze else 0].end :]
    options = _options_of_explain(rest)
    inner = checked_question(connection, rest[len(options) :])
    if inner.is_plan:
        raise _does_more()
    text = f"EXPLAIN {'ANALYZE' if analyze else ''} {options}\n{inner.text}"
    return Question(text, is_plan=True)


def _options_of_explain(text: str) -> str:
    """Return `(FORMAT json)` at the start of what follows EXPLAIN; empty if there is none."""
    match = re.match(r"\s*\(\s*(?:analyze\s*,\s*)?format\s+'?\w+'?\s*\)", text, re.IGNORECASE)
    return match[0] if match else ""


def _checked_pivot(
    connection: duckdb.DuckDBPyConnection, query: str, kinds: list[duckdb.StatementType]
) -> Question:
    if not (kinds == [_MULTI] or _PARTS_OF_PIVOT.issuperset(kinds)):
        raise _does_more()
    words = words_of(query)
    functions = connection.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE function_type IN ('table', 'table_macro', 'pragma')"
    ).fetchall()
    refused = {name for (name,) in functions} - _READING_FUNCTIONS
    unclear = _ESCAPED_NAME.search(query) is not None
    if unclear or any(
        word.text in refused or (not word.is_quoted and word.text in _WRITING_WORDS)
        for word in words
    ):
        raise _does_more()
    return Question(f"FROM (\n{without_end(query)}\n)")


def _require_reading_tree(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    (text,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0]
    document = json.loads(text)
    if document.get("error") or len(document.get("statements", ())) != 1:
        raise _does_more()
    for node in _nodes(document):
        kind = node.get("type")
        is_query = isinstance(kind, str) and kind.endswith("_NODE")
        if is_query and kind not in _READING_NODES:
            raise _does_more()
        if kind == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name", "")).lower()
            if name not in _READING_FUNCTIONS:
                raise UsageError(
                    f"chatlake sql is read-only: it cannot tell that {name}() only reads",
                    hint=_READ_ONLY_HINT,
                )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _does_more() -> UsageError:
    return UsageError("chatlake sql is read-only", hint=_READ_ONLY_HINT)
