"""`chatlake sql` only reads, and only the lake: every known way around that is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from chatlake.lake.catalog.confinement import confine
from chatlake.simulator import Scenario, running
from tests.command_line import CommandLine
from tests.contract.sql_family import OUTSIDE, READING, WRITING
from tests.support import NOW, backup, settings_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back up a small account once, and put a file beside the lake."""
    folder = tmp_path_factory.mktemp("guarded")
    with running(Scenario(completions=12, seed=4, now=NOW)) as server:
        backup(settings_for(folder, server.base_url))
    (folder / "prices.csv").write_text("model,price\ngpt,1\n")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 1 AS price) TO '{folder}/prices.parquet'")
    return folder


@pytest.fixture
def chatlake(chatlake: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run commands where the lake is."""
    monkeypatch.chdir(folder)
    return chatlake


def everything(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def a_part(folder: Path) -> Path:
    """Return a file that every query may read."""
    return min((folder / "lake/messages").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("place", "options", "chosen"),
    [
        ("new", (), slice(0, None, 6)),
        *(pytest.param("new", (), slice(n, None, 6), marks=pytest.mark.slow) for n in range(1, 6)),
        pytest.param("part", (), slice(0, None, 4), marks=pytest.mark.slow),
        pytest.param("part", ("--allow-files",), slice(None), marks=pytest.mark.slow),
    ],
)
def test_nothing_that_does_more_than_read_is_done(
    chatlake: CommandLine, folder: Path, place: str, options: tuple[str, ...], chosen: slice
) -> None:
    """Exit code 2, and no byte of the lake or beside it changes, whatever the statement hides."""
    file = {"new": folder / "stolen", "part": a_part(folder)}[place]
    before = everything(folder)

    for query in WRITING[chosen]:
        done = chatlake("sql", query.format(file=file), *options)
        assert (done.code, done.out) == (2, ""), query
        assert 1 <= len(done.err.splitlines()) <= 2, done.err
        assert everything(folder) == before, query


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["prices.csv", "prices.parquet", "not-there.csv"])
def test_a_query_reads_nothing_but_the_lake(chatlake: CommandLine, folder: Path, name: str) -> None:
    """Exit code 2 and the option that allows it; nothing of the file is shown."""
    for query in OUTSIDE:
        done = chatlake("sql", query.format(file=folder / name), "--format", "json")
        assert (done.code, done.out) == (2, ""), query
        assert "--allow-files" in done.err, (query, done.err)
        assert "gpt-4o" not in done.err


def test_other_files_are_read_where_that_is_allowed(chatlake: CommandLine) -> None:
    """A price list joins the completions."""
    query = (
        "SELECT DISTINCT p.price FROM completions AS c "
        "JOIN 'prices.csv' AS p ON starts_with(c.model, p.model)"
    )

    assert chatlake("sql", query, "--allow-files", "--json").json == [{"price": 1}]


@pytest.mark.sample(15)
@pytest.mark.parametrize("query", READING)
def test_every_way_to_read_is_allowed(chatlake: CommandLine, query: str) -> None:
    """Everyday queries work, even with words that write in strings, names and comments."""
    done = chatlake("sql", query)

    assert (done.code, done.out == "") == (0, False), done.err


def test_a_pivot_keeps_its_order(chatlake: CommandLine) -> None:
    """A PIVOT that finds its columns itself runs as a subquery, and ORDER BY still applies."""
    query = "PIVOT (SELECT range AS a, 'x' AS b FROM range(5000)) ON b USING count(*) ORDER BY a"

    rows = chatlake("sql", f"{query} DESC", "--json").json

    assert [row["a"] for row in rows] == list(reversed(range(5000)))


def test_a_condition_of_an_export_only_reads_the_lake(chatlake: CommandLine, folder: Path) -> None:
    """`--where` takes SQL too, with the same limits."""
    nested = "''WITH x AS (COPY (SELECT 1) TO ''''{file}'''' (USE_TMP_FILE false)) FROM x''"
    conditions = [
        f"(SELECT count(*) FROM json_execute_serialized_sql(json_serialize_sql({nested}))) > 0",
        "(SELECT count(*) FROM read_text('{outside}')) > 0",
        "EXISTS (FROM '{outside}')",
        "EXISTS (WITH x AS (COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)) FROM x)",
    ]
    before = everything(folder)

    for condition in conditions:
        where = condition.replace("''", "'").format(
            file=a_part(folder), outside=folder / "prices.csv"
        )
        done = chatlake("export", "raw", "--where", where, "--output", str(folder / "x.jsonl"))
        assert done.code == 2, (where, done.err)
        assert everything(folder) == before, where


def test_the_connection_itself_writes_no_new_file(folder: Path, tmp_path: Path) -> None:
    """Even without the check, the connection reaches only the files that the views name."""
    lake = folder / "lake"
    spill = tmp_path / "spill"
    spill.mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{lake}/catalog.duckdb' AS lake (READ_ONLY)")
        connection.execute("USE lake")
        confine(connection, str(lake), temporary=str(spill))
        for place in (tmp_path / "x", lake / "manifests/000000000001.json", lake / "messages/x"):
            with pytest.raises(duckdb.PermissionException):
                connection.execute(f"COPY (SELECT 1) TO '{place}' (USE_TMP_FILE false)")
        for statement in ("SET threads = 1", "RESET allowed_paths", "LOAD httpfs"):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
        assert connection.execute("SELECT count(*) FROM messages").fetchall()[0][0] > 0


def test_what_does_not_fit_into_memory_goes_to_a_folder_of_its_own(
    folder: Path, tmp_path: Path
) -> None:
    """A large sort spills although no file may be opened, and never where the user stands."""
    lake = folder / "lake"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{lake}/catalog.duckdb' AS lake (READ_ONLY)")
        connection.execute("USE lake; SET memory_limit = '40MB'; SET threads = 1")
        confine(connection, str(lake), temporary=str(tmp_path))
        query = "SELECT hash(range)::VARCHAR || repeat('x', 60) AS s FROM range(600000) ORDER BY s"
        assert len(connection.execute(query).fetchmany(1000)) == 1000
        assert any(tmp_path.rglob("*"))


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CHATLAKE_OTHER_DUCKDB_PYTHON"),
    reason="CHATLAKE_OTHER_DUCKDB_PYTHON names no interpreter with another DuckDB",
)
def test_the_oldest_duckdb_is_guarded_too(folder: Path) -> None:
    """DuckDB 1.5 takes statements apart in another way; what is refused and allowed is the same."""
    file = a_part(folder)
    writing = [query.format(file=file) for query in WRITING]
    outside = [query.format(file=folder / "prices.csv") for query in OUTSIDE]
    before = everything(folder)

    done = subprocess.run(
        [os.environ["CHATLAKE_OTHER_DUCKDB_PYTHON"], "-m", "tests.contract.sql_guard"],
        input=json.dumps(
            {
                "source": str(Path(__file__).parents[2] / "src"),
                "lake": str(folder / "lake"),
                "queries": writing + outside + READING,
            }
        ),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    came = json.loads(done.stdout)
    assert everything(folder) == before
    assert [query for query in writing + outside if came[query] == "answered"] == []
    assert {query: came[query] for query in READING if came[query] != "answered"} == {}


def test_the_family_is_asked_of_the_duckdb_in_use(folder: Path) -> None:
    """The program for other versions says of this one what the command says."""
    task = {"source": "src", "lake": str(folder / "lake"), "queries": ["SELECT 1", WRITING[0]]}
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.sql_guard"],
        input=json.dumps(task),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    came = json.loads(done.stdout)
    assert came["SELECT 1"] == "answered"
    assert came[WRITING[0]].startswith("UsageError")
