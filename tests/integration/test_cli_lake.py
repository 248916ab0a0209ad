"""The commands that read a lake: `status`, `sql`, `export raw`."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from chatlake.lake.lake import Lake
from chatlake.simulator import Faults, Scenario, running
from tests.command_line import CommandLine, ended, start
from tests.support import KEY_VARIABLE, NOW, backup, settings_for, waiting_briefly, write_config

COUNT = 150


@dataclass(frozen=True)
class Stored:
    """A backed-up account: its folder, what the API holds, the ids that failed."""

    folder: Path
    truth: list[dict[str, Any]]
    failed: set[str]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Back up an account once; some of its completions lack their messages."""
    folder = tmp_path_factory.mktemp("stored")
    scenario = Scenario(completions=COUNT, seed=9, now=NOW, image_share=0.2)
    with running(scenario, Faults(missing=0.03)) as server, waiting_briefly():
        report = backup(settings_for(folder, server.base_url))
        truth = list(server.truth())
    failed = {failure.completion_id for failure in report.sources[0].failures}
    assert failed
    return Stored(folder, truth, failed)


@pytest.fixture
def chatlake(chatlake: CommandLine, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run commands where the lake is; without its source's key, which reading does not need."""
    monkeypatch.chdir(stored.folder)
    monkeypatch.delenv(KEY_VARIABLE)
    return chatlake


def test_status_tells_what_is_there_and_what_is_missing(
    chatlake: CommandLine, stored: Stored
) -> None:
    """Figures, gaps by id and reason, runs, and when the rest expires; no key needed."""
    done = chatlake("status")

    assert (done.code, done.err) == (0, "")
    assert f"openai: {COUNT} completions" in done.out
    assert all(completion_id in done.out for completion_id in stored.failed)
    assert f"{len(stored.failed)} not_found" in done.out
    assert "Last runs:" in done.out
    assert "the source keeps 30 d" in done.out


def test_status_as_json_agrees_with_the_lake(chatlake: CommandLine, stored: Stored) -> None:
    """`--json` gives the same figures, and times that parse."""
    document = chatlake("status", "--json").json

    (source,) = document["sources"]
    assert source["completions"] == COUNT
    assert source["gaps"] == len(stored.failed) == len(document["failures"])
    assert source["newest_created_at"] >= source["oldest_created_at"]
    assert document["runs"][0]["status"] == "incomplete"
    assert not document["complete"]
    assert source["expires_in_days"] < 30
    assert source["newest_age_seconds"] > 0


def test_a_lake_that_is_not_there_says_how_it_comes(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 with the hint, and nothing is created."""
    settings_for(tmp_path, "http://127.0.0.1:1/v1")
    monkeypatch.chdir(tmp_path)

    for words in (("status",), ("sql", "SELECT 1"), ("export", "raw", "--output", "x.jsonl")):
        done = chatlake(*words)
        assert done.code == 1
        assert "chatlake backup" in done.err
    assert not (tmp_path / "lake").exists()


def test_sql_answers_in_every_text_format(chatlake: CommandLine) -> None:
    """The same rows as table, CSV, JSON, JSON Lines and Markdown."""
    query = "SELECT direction, count(*) AS n FROM messages GROUP BY ALL ORDER BY direction"

    table = chatlake("sql", query)
    rows = json.loads(chatlake("sql", query, "--format", "json").out)

    assert [row["direction"] for row in rows] == ["input", "output"]
    assert str(rows[0]["n"]) in table.out
    assert table.err == "(2 rows)\n"
    assert list(csv.DictReader(io.StringIO(chatlake("sql", query, "--format", "csv").out))) == [
        {key: str(value) for key, value in row.items()} for row in rows
    ]
    lines = chatlake("sql", query, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert f"| input | {rows[0]['n']} |" in chatlake("sql", query, "--format", "markdown").out
    assert chatlake("sql", query, "--json").json == rows


def test_json_columns_are_nested_and_exact(chatlake: CommandLine, stored: Stored) -> None:
    """`raw` of a completion without images equals what the API sent, 64-bit seeds included."""
    truth = {item["completion"]["id"]: item["completion"] for item in stored.truth}
    query = "SELECT completion_id, raw FROM completions ANTI JOIN failures USING (completion_id)"

    rows = chatlake("sql", query, "--json").json

    assert len(rows) == COUNT - len(stored.failed)
    assert all(row["raw"] == truth[row["completion_id"]] for row in rows)


def test_a_result_goes_to_a_file_whole(chatlake: CommandLine, tmp_path: Path) -> None:
    """`--output` replaces the file, leaves nothing beside it, and Parquet reads back typed."""
    file = tmp_path / "result.parquet"
    file.write_text("old")
    query = "SELECT completion_id, created_at, seed, metadata FROM completions ; -- all"

    done = chatlake("sql", query, "--format", "parquet", "--output", str(file))

    assert (done.code, done.out) == (0, "")
    with duckdb.connect() as connection:
        read = connection.execute(f"SELECT count(*), typeof(any_value(seed)) FROM '{file}'")
        assert read.fetchone() == (COUNT, "BIGINT")
    assert list(tmp_path.iterdir()) == [file]
    chatlake("sql", "SELECT 1 AS one", "--format", "csv", "--output", str(file))
    assert file.read_text() == "one\n1\n"


def test_an_answer_that_cannot_be_written_is_told(chatlake: CommandLine, tmp_path: Path) -> None:
    """A folder, or a place that is not there: exit code 2."""
    for place in (tmp_path, tmp_path / "no" / "file.csv"):
        done = chatlake("sql", "SELECT 1", "--format", "csv", "--output", str(place))
        assert done.code == 2
        assert str(tmp_path) in done.err


def test_parquet_goes_through_a_pipe(stored: Stored, tmp_path: Path) -> None:
    """Standard output may be redirected to a file."""
    with (tmp_path / "x.parquet").open("wb") as file:
        words = ("sql", "FROM messages", "--format", "parquet")
        done = ended(start(stored.folder, *words, stdout=file))
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "x.parquet").read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT * FROM completion", "Did you mean completions?"),
        ("SELECT modle FROM completions", '"model"'),
        ("SELEC 1", "syntax error"),
        ("SELECT 'x'::INTEGER", "Could not convert"),
        ("  ", "empty"),
    ],
)
def test_an_error_in_the_sql_is_two_lines(chatlake: CommandLine, query: str, told: str) -> None:
    """Exit code 2, DuckDB's message on one line, and what was probably meant."""
    done = chatlake("sql", query)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) <= 2


def test_a_query_comes_from_standard_input(
    chatlake: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads the query from standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 42 AS answer\n"))
    assert chatlake("sql", "-", "--format", "csv").out == "answer\n42\n"


def test_a_damaged_file_is_the_lakes_fault(
    chatlake: CommandLine, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part file that cannot be read: exit code 7 and the way to `verify`, not a wrong usage."""
    copy = tmp_path / "copy"
    shutil.copytree(stored.folder, copy)
    monkeypatch.chdir(copy)
    assert chatlake("sql", "SELECT sum(total_tokens) FROM completions").code == 0
    for file in (copy / "lake/completions").rglob("*.parquet"):
        file.write_bytes(b"PAR1 no more")

    done = chatlake("sql", "SELECT sum(total_tokens) FROM completions")

    assert done.code == 7
    assert "verify" in done.err


def test_a_running_backup_is_shown_and_a_killed_one_named(
    chatlake: CommandLine, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the lock is held the holder is named; status and sql work meanwhile."""
    copy = tmp_path / "copy"
    shutil.copytree(stored.folder, copy)
    monkeypatch.chdir(copy)
    with Lake.open(copy / "lake").lock("run-x"):
        done = chatlake("status")
        assert f"A backup is running: process {os.getpid()}" in done.out
        assert chatlake("sql", "SELECT count(*) FROM completions").code == 0
    assert "A backup is running" not in chatlake("status").out


def test_raw_export_gives_back_what_the_api_sent(
    chatlake: CommandLine, stored: Stored, tmp_path: Path
) -> None:
    """Every completion with its messages, images back in place; what is missing is reported."""
    file = tmp_path / "raw.jsonl"

    done = chatlake("export", "raw", "--output", str(file))

    lines = file.read_text(encoding="utf-8").splitlines()
    exported = {item["completion"]["id"]: item for item in map(json.loads, lines)}
    expected = {item["completion"]["id"]: item for item in stored.truth}
    assert done.code == 0
    assert exported.keys() == expected.keys()
    assert all(exported[key] == expected[key] for key in expected.keys() - stored.failed)
    assert "without messages" in done.err


def test_raw_export_takes_a_condition_and_reports_as_json(
    chatlake: CommandLine, tmp_path: Path
) -> None:
    """`--where` narrows it, `--json` counts, and both outputs on one stream are refused."""
    words = ("export", "raw", "--json", "--where", "created_date = '1999-01-01'", "--output")

    assert chatlake(*words, str(tmp_path / "none.jsonl")).json["completions"] == 0
    assert chatlake(*words, "-").code == 2
    bad = chatlake("export", "raw", "--where", "modle = 1", "--output", str(tmp_path / "x"))
    assert bad.code == 2


def test_output_is_plain_where_it_is_no_terminal(stored: Stored) -> None:
    """In a pipe there is no escape sequence, also without NO_COLOR."""
    for words in (("status",), ("sql", "FROM runs"), ("doctor",)):
        process = start(stored.folder, *words, env={"NO_COLOR": ""}, stdin=subprocess.DEVNULL)
        done = ended(process)
        assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize("garbage", [b"\x0e", b"\x15\x0e\x19\xff", b"\xff" * 40])
def test_a_damaged_footer_is_damage_however_duckdb_says_it(
    chatlake: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, garbage: bytes
) -> None:
    """DuckDB's own words for it name no file; the exit code is 7, and the hint is `verify`."""
    with running(Scenario(completions=20, seed=3, now=NOW)) as server:
        settings = settings_for(tmp_path, server.base_url)
        backup(settings)
    (file, *_) = (tmp_path / "lake/completions").rglob("*.parquet")
    data = bytearray(file.read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    data[footer : footer + len(garbage)] = garbage
    file.write_bytes(data)
    monkeypatch.chdir(tmp_path)

    done = chatlake("sql", "FROM completions", "--format", "json")

    assert done.code == 7, done.err
    assert "chatlake verify" in done.err
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize("query", ["DESCRIBE completions", 'desc "Daily_Usage";'])
def test_describe_says_what_each_column_means(chatlake: CommandLine, query: str) -> None:
    """In the order of the view, with DuckDB's own columns before the comment."""
    found = chatlake("sql", "--json", query).json
    assert [row["column_name"] for row in found][:2] in (
        ["source", "completion_id"],
        ["source", "created_date"],
    )
    assert all(row["comment"] and row["column_type"] for row in found)


def test_describe_of_a_query_is_duckdbs_own(chatlake: CommandLine) -> None:
    """Only the views have comments."""
    (row,) = chatlake("sql", "--json", "DESCRIBE SELECT 1 AS one").json
    assert (row["column_name"], row.get("comment")) == ("one", None)


def test_status_with_max_age_ends_with_3_only_where_no_backup_is_young_enough(
    chatlake: CommandLine, stored: Stored
) -> None:
    """The stored backup was incomplete, so no source is fresh; without the option that is 0."""
    stale, plain = chatlake("status", "--max-age", "26h"), chatlake("status")

    assert (stale.code, plain.code) == (3, 0)
    assert stale.out.splitlines()[-2:] == plain.out.splitlines()[-2:]
    assert stale.err.splitlines()[0] == "error: openai: there is no complete backup yet"

    document = chatlake("status", "--max-age", "26h", "--json")
    assert document.code == 3
    assert document.json["error"]["kind"] == "stale"
    assert document.json["sources"][0]["gaps"] == len(stored.failed)


def test_status_with_max_age_calls_a_lake_that_is_not_there_yet_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A monitor gets 3 from the first night on; without the option the error is `no_lake`."""
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, "https://api.example.com/v1")
    chatlake = CommandLine(capsys)

    assert chatlake("status").code == 1
    done = chatlake("status", "--max-age", "26h", "--json")
    assert (done.code, done.json["error"]["kind"]) == (3, "stale")
    assert "there is no lake at" in done.err


def test_status_as_openmetrics_is_valid_and_agrees_with_json(
    chatlake: CommandLine, stored: Stored
) -> None:
    """A strict parser reads it; the figures are those of the other format."""
    done, document = chatlake("status", "--format", "openmetrics"), chatlake("status", "--json")

    (source,) = document.json["sources"]
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(done.out)
        for sample in family.samples
        if sample.labels.get("source", "openai") == "openai"
    }
    assert (done.code, done.err) == (0, "")
    assert found["chatlake_completions"] == source["completions"] == COUNT
    assert found["chatlake_open_gaps"] == len(stored.failed)
    assert found["chatlake_stored_bytes"] == source["bytes"]
    assert chatlake("status", "--format", "openmetrics", "--json").code == 2
