"""Programs that read the Parquet files by themselves count what the views count.

Every table, after a first backup, after one with changes and deletions, and after a compaction.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.bootstrap.maintenance import compact_lake
from chatlake.config import Settings
from chatlake.model.manifest import Manifest
from chatlake.simulator import Scenario, running
from tests import lake_rows
from tests.docs.markdown import recipe
from tests.support import NOW, backup, rows, settings_for

ROWS: Final = {
    "completions": "SELECT count(*) FROM completions",
    "messages": "SELECT count(*) FROM messages",
    "content_parts": "SELECT count(*) FROM content_parts",
    "images": "SELECT count(*) FROM images",
    "message_history": "SELECT count(*) FROM message_history",
    # The view adds the version that is stored now, and a row for a deletion.
    "history": "SELECT (SELECT count(*) FROM completion_history) - count(*) - count(deleted_at) "
    "FROM completions",
}
"""How many rows each table has by the views."""

_IN_LAKE: Final = re.compile(r'"data/lake/(?:messages|\{\})([^"]*)"')


@dataclass(frozen=True, slots=True)
class Moment:
    """A copy of a lake, and how many rows its views had; a table without rows is left out."""

    name: str
    lake: Path
    rows: dict[str, int]


def _moment(name: str, settings: Settings, folder: Path) -> Moment:
    counted = {table: rows(settings, sql)[0][0] for table, sql in ROWS.items()}
    copy = folder / f"lake {name}"
    shutil.copytree(settings.lake_location, copy)
    return Moment(name, copy, {table: count for table, count in counted.items() if count})


def _replace_messages(settings: Settings) -> None:
    """Store earlier versions of messages, which the simulator's never have, in many small files."""
    lake = open_lake(settings)
    row = {"completion_id": "x", "message_id": "x-0", "raw": "{}", "direction": "input",
           "observed_at": lake_rows.SEEN, "message_index": 0,
           "created_at": lake_rows.NOON * lake_rows.MICRO}  # fmt: skip
    with lake.lock():
        added = [lake_rows.write(lake.storage, "message_history", [row]) for _ in range(12)]
        lake.commit(Manifest(added=added))


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Moment]]:
    """Make the lake, and copy it each time that nothing is writing."""
    folder = tmp_path_factory.mktemp("plain")
    scenario = Scenario(completions=60, seed=5, days=3, now=NOW, image_share=0.3)
    found = []
    with running(scenario) as server:
        settings = settings_for(folder, server.base_url, lookback="30d")
        assert backup(settings).exit_code == 0
        found.append(_moment("first", settings, folder))
        for number in (5, 20, 40):
            server.edit(server.ids()[number], {"edited": "yes"})
        server.grow(7)
        server.delete(server.ids()[50])
        backup(settings)
        backup(settings, full=True)
        backup(settings, full=True)
        _replace_messages(settings)
        found.append(_moment("changed", settings, folder))
    compact_lake(open_lake(settings))
    found.append(_moment("compacted", settings, folder))
    yield found
    shutil.rmtree(folder, ignore_errors=True)


def test_the_moments_differ(moments: list[Moment]) -> None:
    """Every table has rows in the end, and the changes left files that were replaced."""
    first, changed, compacted = moments
    assert first.rows["completions"] == 60
    assert changed.rows["completions"] == 67
    assert set(changed.rows) == set(ROWS)
    assert compacted.rows == changed.rows
    assert any((changed.lake / "replaced").rglob("*.parquet"))
    assert len(_files(changed, "message_history")) == 12
    assert len(_files(compacted, "message_history")) == 1


def _files(moment: Moment, table: str) -> list[Path]:
    return list((moment.lake / table).rglob("*.parquet"))


def _by_glob(moment: Moment, table: str) -> int:
    count = duckdb.sql(f"SELECT count(*) FROM '{moment.lake}/{table}/**/*.parquet'").fetchall()
    return int(count[0][0])


def _by_pyarrow(moment: Moment, table: str) -> int:
    return int(ds.dataset(moment.lake / table, partitioning="hive").count_rows())


def _by_sparks_rules(moment: Moment, table: str) -> int:
    """Count as Spark lists a folder: it skips hidden names, and all files share their partitions.

    A name is hidden if it begins with `.` or, without `=`, with `_`.
    """
    folder, count = moment.lake / table, 0
    partitions = set()
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part[0] == "." or (part[0] == "_" and "=" not in part) for part in parts)
        if hidden or path.is_dir():
            continue
        partitions.add(tuple(part.partition("=")[0] for part in parts[:-1]))
        count += pq.read_metadata(path).num_rows
    assert partitions == {("source", "created_date")}
    return count


@pytest.mark.parametrize("counted", [_by_glob, _by_pyarrow, _by_sparks_rules])
def test_files_count_what_the_views_count(
    moments: list[Moment], counted: Callable[[Moment, str], int]
) -> None:
    """By DuckDB's glob, by pyarrow's dataset of the folder, and as Spark lists files."""
    for moment in moments:
        assert {table: counted(moment, table) for table in moment.rows} == moment.rows, moment.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "title"),
    [("polars", "polars"), ("pandas", "pandas"), ("datasets", "Hugging Face datasets")],
)
def test_plain_loaders_count_what_the_views_count(
    moments: list[Moment], ask: Callable[..., Any], program: str, title: str
) -> None:
    """With the path or pattern that the recipe of tools.md has."""
    (ending,) = set(_IN_LAKE.findall(recipe(title)))
    for moment in moments:
        found = ask("count", program, f"{moment.lake}/{{}}{ending}", *moment.rows)
        assert found == moment.rows, moment.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "names"),
    [("polars", ()), ("pandas", ("messages",)),
     ("Hugging Face datasets", ("completions", "messages"))],
)  # fmt: skip
def test_recipes_run_at_each_moment(
    moments: list[Moment],
    ask: Callable[..., Any],
    tmp_path: Path,
    title: str,
    names: tuple[str, ...],
) -> None:
    """What the page says works as it stands there, and what it loads is whole."""
    code = tmp_path / "recipe.py"
    code.write_text(recipe(title))
    (tmp_path / "data").mkdir()
    for moment in moments:
        link = tmp_path / "data" / "lake"
        link.unlink(missing_ok=True)
        link.symlink_to(moment.lake)
        assert ask("recipe", code, *names) == {name: moment.rows[name] for name in names}


@pytest.mark.slow
def test_spark_counts_what_the_views_count(moments: list[Moment], ask: Callable[..., Any]) -> None:
    """If CHATLAKE_SPARK_PYTHON names a Python with pyspark: half a gigabyte, and it needs Java."""
    python = os.environ.get("CHATLAKE_SPARK_PYTHON", "")
    if not python:
        pytest.skip("CHATLAKE_SPARK_PYTHON names no Python with pyspark")
    for moment in moments:
        found = ask("count", "spark", f"{moment.lake}/{{}}", *moment.rows, python=python)
        assert found == moment.rows, moment.name
