"""Asks one DuckDB which queries the guard takes, and what they do: a program for other versions.

Reads {"source": …, "lake": …, "queries": […]} from standard input, answers {query: what came}.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any


def load(source: str) -> Any:
    """Return the guard without the rest of the package, whose needs another DuckDB lacks."""
    sys.path.insert(0, source)
    views = ModuleType("chatlake.lake.catalog.views")
    views.quoted = lambda text: "'" + text.replace("'", "''") + "'"  # type: ignore[attr-defined]
    views.literal = lambda path: path  # type: ignore[attr-defined]
    lake = ModuleType("chatlake.lake")
    lake.__path__ = [f"{source}/chatlake/lake"]
    sys.modules |= {"chatlake.lake": lake, "chatlake.lake.catalog.views": views}
    from chatlake.lake.catalog import confinement, only_reading

    return SimpleNamespace(
        confine=confinement.confine, checked_question=only_reading.checked_question
    )


def ask(guard: Any, connection: Any, query: str) -> str:
    """Return `answered`, or the class and first line of what was raised."""
    try:
        connection.execute(guard.checked_question(connection, query).text).fetchall()
    except Exception as error:  # noqa: BLE001 - reported to the test
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return "answered"


def opened(guard: Any, lake: str, folder: str) -> Any:
    """Return a confined connection to the lake."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"ATTACH '{lake}/catalog.duckdb' AS lake (READ_ONLY)")
    connection.execute("USE lake")
    guard.confine(connection, lake, temporary=folder)
    return connection


def main(task: dict[str, Any]) -> dict[str, str]:
    """Ask each query; only one that the guard refused leaves its connection to the next."""
    guard = load(task["source"])
    lake = str(Path(task["lake"]).resolve())
    came: dict[str, str] = {}
    connection = None
    with tempfile.TemporaryDirectory() as folder:
        for query in task["queries"]:
            connection = connection or opened(guard, lake, tempfile.mkdtemp(dir=folder))
            came[query] = ask(guard, connection, query)
            if not came[query].startswith("UsageError"):
                connection.close()
                connection = None
    return came


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
