"""The first protection around a user's SQL: a connection that opens only the views' files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import duckdb

from chatlake.lake.catalog.views import literal, quoted

_PATH: Final = re.compile(r"'((?:[^']|'')*\.parquet)'")


def confine(
    connection: duckdb.DuckDBPyConnection,
    location: str,
    *,
    temporary: str,
    allow_files: bool = False,
    also: Iterable[str] = (),
) -> None:
    """Let a connection open only the files of the lake's views, and lock its configuration.

    `location`: where the lake is. `temporary`: an existing private folder, the only one where
    DuckDB may write, for what does not fit into memory. With `allow_files` it may open any file;
    `also`: files of the lake that the views do not name.
    """
    run = connection.execute
    run(f"SET temp_directory = {quoted(temporary)}")
    run("SET python_enable_replacements = false")
    if not allow_files:
        files = _files_of_views(connection, location)
        for path in also:
            files.update((path, literal(path)))
        paths = ", ".join(map(quoted, sorted(files)))
        run(f"SET allowed_paths = [{paths}]")
        run("SET enable_external_access = false")
    run("SET lock_configuration = true")


def _files_of_views(connection: duckdb.DuckDBPyConnection, location: str) -> set[str]:
    """Return the files that the views read, as the views name them and as DuckDB opens them."""
    rows = connection.execute(
        "SELECT sql FROM duckdb_views() WHERE database_name = 'lake' AND NOT internal"
    ).fetchall()
    # A private catalogue's empty files are in a temporary folder, below a copy of the lake's path.
    inner = (location.partition("://")[2] or location).strip("/")
    files: set[str] = set()
    for (sql,) in rows:
        for path in _PATH.findall(sql):
            asked = path.replace("''", "'")
            opened = re.sub(r"\[([*?\[])\]", r"\1", asked)  # see `views.reader`
            if opened.startswith(f"{location}/") or f"/{inner}/schema/" in opened:
                files.update((asked, opened))
    return files
