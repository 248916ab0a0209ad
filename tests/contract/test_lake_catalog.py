"""The catalogue as analysts use it: plain DuckDB, read-only, from anywhere, no extension."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chatlake import failpoints
from chatlake.errors import LakeDamagedError
from chatlake.lake import Lake
from chatlake.lake.catalog.opening import connect, read_stamp
from chatlake.lake.catalog.views import VIEWS
from chatlake.model.manifest import Failure, Manifest, SourceRun
from tests import lake_rows as rows

TIME = "TIMESTAMP WITH TIME ZONE"
ADDED = {
    "completions": (
        "raw_exact VARCHAR", "moderation JSON", "cache_write_tokens BIGINT",
        "prompt_text_tokens BIGINT", "prompt_image_tokens BIGINT", "completion_text_tokens BIGINT",
        "completion_image_tokens BIGINT",
    ),
    "tool_calls": (
        "model VARCHAR", "created_date DATE", "message_index INTEGER", "choice_index INTEGER",
        "answered BOOLEAN",
    ),
    "metadata": ("created_date DATE",),
    "transcripts": ("created_date DATE",),
    "completion_history": ("created_date DATE",),
    "daily_usage": (
        "cached_tokens BIGINT", "reasoning_tokens BIGINT", "refusals BIGINT",
        "service_tier VARCHAR",
    ),
}  # fmt: skip
"""Columns that came after the promised ones."""

PROMISED = {
    "completions": (
        f"source VARCHAR, completion_id VARCHAR, created_at {TIME}, created_date DATE, "
        "model VARCHAR, service_tier VARCHAR, system_fingerprint VARCHAR, request_id VARCHAR, "
        "finish_reasons VARCHAR[], prompt_tokens BIGINT, completion_tokens BIGINT, "
        "total_tokens BIGINT, cached_tokens BIGINT, reasoning_tokens BIGINT, temperature DOUBLE, "
        "top_p DOUBLE, presence_penalty DOUBLE, frequency_penalty DOUBLE, seed BIGINT, "
        "tool_choice JSON, tools JSON, response_format JSON, input_user VARCHAR, "
        "metadata MAP(VARCHAR; VARCHAR), choice_count INTEGER, message_count INTEGER, "
        f"image_count INTEGER, first_seen_at {TIME}, synced_at {TIME}, deleted_at {TIME}, "
        "run_id VARCHAR, raw JSON"
    ),
    "messages": (
        "source VARCHAR, completion_id VARCHAR, message_id VARCHAR, message_index INTEGER, "
        "direction VARCHAR, choice_index INTEGER, role VARCHAR, name VARCHAR, content VARCHAR, "
        "text VARCHAR, refusal VARCHAR, tool_call_id VARCHAR, tool_calls JSON, "
        f"finish_reason VARCHAR, part_count INTEGER, created_at {TIME}, created_date DATE, "
        "model VARCHAR, raw JSON"
    ),
    "content_parts": (
        "source VARCHAR, completion_id VARCHAR, message_id VARCHAR, message_index INTEGER, "
        "direction VARCHAR, part_index INTEGER, type VARCHAR, text VARCHAR, image_url VARCHAR, "
        "image_detail VARCHAR, image_sha256 VARCHAR, media_type VARCHAR, image_bytes BIGINT, "
        f"part_source VARCHAR, created_at {TIME}, created_date DATE, raw JSON"
    ),
    "images": (
        "sha256 VARCHAR, media_type VARCHAR, byte_size BIGINT, width INTEGER, height INTEGER, "
        "data BLOB, created_date DATE, source VARCHAR, reference_count BIGINT"
    ),
    "tool_calls": (
        "source VARCHAR, completion_id VARCHAR, message_id VARCHAR, direction VARCHAR, "
        "call_index INTEGER, tool_call_id VARCHAR, tool_type VARCHAR, tool_name VARCHAR, "
        f"arguments_text VARCHAR, arguments JSON, created_at {TIME}"
    ),
    "metadata": (
        f"source VARCHAR, completion_id VARCHAR, created_at {TIME}, model VARCHAR, key VARCHAR, "
        "value VARCHAR"
    ),
    "transcripts": (
        f"source VARCHAR, completion_id VARCHAR, created_at {TIME}, model VARCHAR, "
        "message_count INTEGER, transcript VARCHAR, total_tokens BIGINT"
    ),
    "daily_usage": (
        "source VARCHAR, created_date DATE, model VARCHAR, completions BIGINT, messages BIGINT, "
        "images BIGINT, prompt_tokens BIGINT, completion_tokens BIGINT, total_tokens BIGINT"
    ),
    "completion_history": (
        f"source VARCHAR, completion_id VARCHAR, observed_at {TIME}, change VARCHAR, raw JSON"
    ),
    "message_history": (
        f"source VARCHAR, completion_id VARCHAR, message_id VARCHAR, observed_at {TIME}, "
        "message_index INTEGER, direction VARCHAR, role VARCHAR, content VARCHAR, text VARCHAR, "
        f"created_at {TIME}, created_date DATE, raw JSON"
    ),
}
PROMISED["text_parts"] = PROMISED["image_parts"] = PROMISED["content_parts"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a folder."""
    return Lake.open(tmp_path / "lake", create=True)


def store(lake: Lake, manifest: Manifest | None = None, **tables: list[dict[str, Any]]) -> None:
    """Commit rows of one partition."""
    found = {(table, rows.DAY): rows.columns(table, given) for table, given in tables.items()}
    with lake.lock():
        manifest = manifest or Manifest()
        manifest.added = lake.write_parts(found)
        lake.commit(manifest)


def ask(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL on the lake's views."""
    with lake.connect() as connection:
        return connection.execute(sql).fetchall()


def columns_of(lake: Lake, view: str) -> str:
    """Return `name TYPE, …` of a view."""
    described = ask(lake, f"DESCRIBE {view}")
    return ", ".join(f"{name} {kind.replace(',', ';')}" for name, kind, *_ in described)


@pytest.mark.sample(4)
@pytest.mark.parametrize("view", PROMISED)
def test_a_view_has_the_promised_columns_in_order(lake: Lake, view: str) -> None:
    """Names, order and types are the contract's; further columns stand at the end."""
    promised, found = PROMISED[view].split(", "), columns_of(lake, view).split(", ")
    assert found[: len(promised)] == promised
    assert set(found[len(promised) :]) <= {
        "raw_exact VARCHAR", "echo_raw VARCHAR", "invalid_argument_calls INTEGER[]",
        *ADDED.get(view, ()),
    }  # fmt: skip


def test_an_empty_lake_has_every_view(lake: Lake) -> None:
    """Before the first commit each view exists and has no rows."""
    assert {view: ask(lake, f"SELECT count(*) FROM {view}") for view in VIEWS} == {
        view: [(0,)] for view in VIEWS
    }


def test_views_and_columns_are_described(lake: Lake) -> None:
    """Every view and each of its columns has a comment in the catalogue."""
    views = ask(lake, "SELECT view_name, comment FROM duckdb_views() WHERE database_name = 'lake'")
    assert {name for name, _ in views} == set(VIEWS)
    columns = ask(
        lake,
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = 'main'",
    )
    assert {name for name, _, _ in columns} == set(VIEWS)
    assert [row for row in [*views, *columns] if not row[-1] or not row[-1].endswith(".")] == []


def test_partition_columns_come_from_the_folders(lake: Lake) -> None:
    """`source` and `created_date` are those of the partition, and times are UTC."""
    store(lake, completions=[rows.completion("a")])
    assert ask(lake, "SELECT source, created_date, created_at FROM completions") == [
        ("openai", date(2026, 1, 2), datetime(2026, 1, 2, 12, tzinfo=UTC))
    ]


def test_parts_are_divided_by_type(lake: Lake) -> None:
    """text_parts and image_parts are the parts of their type; other types are in neither."""
    kinds = ["text", "image_url", "input_audio"]
    store(lake, content_parts=[rows.part("a", i, type=kind) for i, kind in enumerate(kinds)])
    assert ask(lake, "SELECT part_index FROM text_parts") == [(0,)]
    assert ask(lake, "SELECT part_index FROM image_parts") == [(1,)]
    assert ask(lake, "SELECT count(*) FROM content_parts") == [(3,)]


def test_an_image_counts_its_references_of_the_same_day(lake: Lake) -> None:
    """reference_count is the number of parts that show it; 0 where none does."""
    x, y = rows.image(b"x"), rows.image(b"y")
    shown = [rows.part("a", i, type="image_url", image_sha256=x["sha256"]) for i in range(2)]
    store(lake, images=[x, y], content_parts=[*shown, rows.part("a", 2, text="t")])
    assert ask(lake, "SELECT data, reference_count FROM images ORDER BY data") == [
        (b"x", 2),
        (b"y", 0),
    ]


def test_tool_calls_stand_in_order_with_arguments_that_parse(lake: Lake) -> None:
    """Function and custom calls give one row each; `arguments` is NULL if they are not JSON."""
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": '{"x": '}},
        {"id": "3", "type": "custom", "custom": {"name": "h", "input": "plain text"}},
        {"id": "4", "type": "function", "function": {"name": "i", "arguments": ""}},
        {"id": "5", "type": "novel"},
    ]
    silent = [rows.message("a", 1), rows.message("a", 2, tool_calls="[]")]
    odd = rows.message("a", 3, tool_calls='{"not": "a list"}')
    store(lake, messages=[rows.message("a", 0, tool_calls=json.dumps(calls)), *silent, odd])
    columns = ", ".join(column.split()[0] for column in PROMISED["tool_calls"].split(", ")[1:-1])
    found = ask(lake, f"SELECT {columns} FROM tool_calls ORDER BY call_index")
    assert found == [
        ("a", "a-0", "input", 0, "1", "function", "f", '{"x": 1}', '{"x": 1}'),
        ("a", "a-0", "input", 1, "2", "function", "g", '{"x": ', None),
        ("a", "a-0", "input", 2, "3", "custom", "h", "plain text", None),
        ("a", "a-0", "input", 3, "4", "function", "i", "", None),
        ("a", "a-0", "input", 4, "5", "novel", None, None, None),
    ]


def test_metadata_has_one_row_a_key(lake: Lake) -> None:
    """Each key of each completion is a row; none and an empty map give none."""
    found = [
        rows.completion("a", metadata=[("k", "v"), ("l", "")]),
        rows.completion("b", metadata=[]),
        rows.completion("c"),
    ]
    store(lake, completions=found)
    assert ask(lake, "SELECT completion_id, key, value FROM metadata ORDER BY key") == [
        ("a", "k", "v"),
        ("a", "l", ""),
    ]


def test_a_transcript_reads_in_order(lake: Lake) -> None:
    """Roles and texts by message_index, blank lines between; NULL without messages."""
    store(
        lake,
        completions=[rows.completion("a"), rows.completion("b", message_count=0)],
        messages=[
            rows.message("a", 10, role="assistant", text=None, refusal="No."),
            rows.message("a", 2, role="assistant"),
            rows.message("a", 0, text="Hello\nthere"),
            rows.message("a", 1, role=None, text="x"),
        ],
    )
    text = "user: Hello\nthere\n\nunknown: x\n\nassistant:\n\nassistant:\n[refusal] No."
    found = ask(lake, "SELECT completion_id, transcript FROM transcripts ORDER BY ALL")
    assert found == [("a", text), ("b", None)]


def test_unknown_usage_stays_null(lake: Lake) -> None:
    """Sums leave out unknown values, and are NULL, not 0, if all are unknown."""
    found = [
        rows.completion("a", total_tokens=5, message_count=None),
        rows.completion("b", message_count=None),
        rows.completion("c", model=None, total_tokens=7),
    ]
    store(lake, completions=found)
    sql = "SELECT model, completions, messages, prompt_tokens, total_tokens FROM daily_usage"
    assert ask(lake, f"{sql} ORDER BY model NULLS LAST") == [
        ("gpt-4o", 2, None, None, 5),
        (None, 1, 2, None, 7),
    ]


def test_history_has_every_version_and_the_deletion(lake: Lake) -> None:
    """Never changed: created. Changed: the old version, then changed. Gone: deleted too."""
    later, gone = datetime(2026, 1, 4, tzinfo=UTC), datetime(2026, 1, 9, tzinfo=UTC)
    old = {
        "completion_id": "b",
        "observed_at": rows.SEEN,
        "change": "created",
        "created_at": rows.NOON * rows.MICRO,
        "raw": '{"v":1}',
    }
    found = [
        rows.completion("a"),
        rows.completion("b", synced_at=later, deleted_at=gone, raw='{"v":2}'),
    ]
    store(lake, completions=found, history=[old])
    sql = "SELECT completion_id, observed_at, change, raw FROM completion_history ORDER BY ALL"
    assert ask(lake, sql) == [
        ("a", rows.SEEN, "created", rows.completion("a")["raw"]),
        ("b", rows.SEEN, "created", '{"v":1}'),
        ("b", later, "changed", '{"v":2}'),
        ("b", gone, "deleted", '{"v":2}'),
    ]


def test_the_ledger_shows_runs_and_open_failures(lake: Lake) -> None:
    """Runs and failures are those of the newest state, with times, and NULL for what is missing."""
    run = SourceRun(
        run_id="r",
        source="openai",
        status="incomplete",
        mode="full",
        started_at="2026-01-03T02:00:00.000000Z",
        listed=2,
        new=1,
        failed=1,
    )
    gap = Failure(
        source="openai",
        completion_id="z",
        reason="not_found",
        detail="gone",
        created=rows.NOON,
        first_attempt_at="2026-01-03T02:00:00.000000Z",
        last_attempt_at="2026-01-03T02:00:01.000000Z",
    )
    store(lake, Manifest(runs=[run], failures=[gap]), completions=[rows.completion("a")])
    sql = "SELECT run_id, source, status, started_at, finished_at, listed, new, failed FROM runs"
    assert ask(lake, sql) == [("r", "openai", "incomplete", rows.SEEN, None, 2, 1, 1)]
    sql = "SELECT completion_id, reason, request_id, created_at, first_attempt_at FROM failures"
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert ask(lake, sql) == [("z", "not_found", None, noon, rows.SEEN)]
    store(lake, Manifest(resolved=[("openai", "z")]))
    assert ask(lake, "SELECT count(*) FROM failures") == [(0,)]


def test_a_reader_keeps_its_snapshot_and_the_next_sees_the_new_one(lake: Lake) -> None:
    """A connection opened before a commit shows the complete old commit, one opened after it the
    new.
    """
    store(lake, completions=[rows.completion("a")], messages=[rows.message("a", 0)])
    both = "SELECT (SELECT count(*) FROM completions), (SELECT count(*) FROM messages)"
    with lake.connect() as old:
        store(lake, completions=[rows.completion("b")], messages=[rows.message("b", 0)])
        assert old.execute(both).fetchall() == [(1, 1)]
        assert ask(lake, both) == [(2, 2)]
        assert old.execute(both).fetchall() == [(1, 1)]


def test_the_views_are_read_only(lake: Lake) -> None:
    """Nothing can be written through the connection."""
    with lake.connect() as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("CREATE TABLE x (a INTEGER)")


def test_files_that_no_manifest_lists_are_not_seen(lake: Lake) -> None:
    """A part that was written and never committed is in no view."""
    store(lake, completions=[rows.completion("a")])
    lake.write_parts(
        {("completions", rows.DAY): rows.columns("completions", [rows.completion("b")])}
    )
    assert ask(lake, "SELECT completion_id FROM completions") == [("a",)]


def move(place: Path) -> Path:
    """Move the lake."""
    return place.rename(place.with_name("moved"))


def copy(place: Path) -> Path:
    """Copy the lake; the old one stays where it was."""
    return Path(shutil.copytree(place, place.with_name("copy")))


def forget_derived(place: Path) -> Path:
    """Remove everything that can be derived from the manifests."""
    (place / "catalog.duckdb").unlink()
    shutil.rmtree(place / "schema")
    return place


def corrupt(place: Path) -> Path:
    """Overwrite the catalogue."""
    (place / "catalog.duckdb").write_bytes(b"not a database" * 1000)
    return place


def cut(place: Path) -> Path:
    """Truncate the catalogue to nothing."""
    (place / "catalog.duckdb").write_bytes(b"")
    return place


@pytest.mark.sample(2)
@pytest.mark.parametrize("happen", [move, copy, forget_derived, corrupt, cut])
def test_a_catalogue_that_is_not_true_any_more_is_written_anew(
    lake: Lake, happen: Callable[[Path], Path]
) -> None:
    """A moved, copied, missing or corrupt one is noticed, and plain DuckDB reads the new one."""
    store(lake, completions=[rows.completion("a")])
    place = happen(Path(lake.location))
    again = Lake.open(place)
    assert again.catalog_is_current() is False
    path = again.ensure_catalog()
    assert path == str(place / "catalog.duckdb")
    assert again.catalog_is_current() is True
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("SELECT completion_id FROM completions").fetchall() == [("a",)]
        sql = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'messages'")
        assert str(place) in sql.fetchall()[0][0]


def test_a_reader_without_permission_gets_a_catalogue_of_its_own(lake: Lake) -> None:
    """Where the lake is read-only and its catalogue stale, a temporary one is built."""
    store(lake, completions=[rows.completion("a")])
    (stale := Path(lake.location, "catalog.duckdb")).unlink()
    reader = Lake.open(lake.location)
    with failpoints.active("catalog.written", OSError(30, "Read-only file system")):
        path = reader.ensure_catalog()
    assert not stale.exists()
    with connect(path) as connection:
        assert connection.execute("SELECT completion_id FROM completions").fetchall() == [("a",)]
    del reader
    gc.collect()  # the error that was handled refers to it in a cycle
    assert not Path(path).exists()


def test_a_reader_leaves_the_catalogue_to_the_run_that_writes(lake: Lake) -> None:
    """During a run a reader uses the run's catalogue, and never swaps in its own."""
    store(lake, completions=[rows.completion("a")])
    reader = Lake.open(lake.location)
    with lake.lock():
        day = ("completions", rows.DAY)
        parts = lake.write_parts({day: rows.columns("completions", [rows.completion("b")])})
        lake.commit(Manifest(added=parts))  # too soon after the last for a new catalogue
        path = reader.ensure_catalog()
        assert path == f"{lake.location}/catalog.duckdb"
        assert (stamp := read_stamp(path)) is not None
        assert stamp.number == 1
    assert (stamp := read_stamp(path)) is not None
    assert stamp.number == 2


def test_the_end_of_a_failed_run_still_shows_its_commits(lake: Lake) -> None:
    """When the block of the lock raises, the catalogue still shows the last commit."""
    store(lake, completions=[rows.completion("a")])

    def fail() -> None:
        with lake.lock():
            lake.commit(Manifest())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert lake.catalog_is_current()


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["it's", "a b", "lake[1]", "la*ke?", "ünï", "env=prod/lake"])
def test_a_lake_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Quotes, blanks, glob characters and `key=value` in the path do no harm."""
    (tmp_path / "laXke?").mkdir()
    lake = Lake.open(tmp_path / name, create=True)
    store(lake, completions=[rows.completion("a")])
    assert ask(lake, "SELECT source, completion_id FROM completions") == [("openai", "a")]
    Path(lake.location, "catalog.duckdb").unlink()
    reader = Lake.open(lake.location)
    with failpoints.active("catalog.written", OSError(30, "Read-only file system")):
        assert ask(reader, "SELECT source, completion_id FROM completions") == [("openai", "a")]


def test_a_lake_whose_file_is_gone_cannot_hide_it(lake: Lake) -> None:
    """A query that needs a missing file fails, and so does building the catalogue."""
    store(lake, completions=[rows.completion("a")])
    for file in lake.state.files:
        Path(lake.location, file).unlink()
    with pytest.raises(duckdb.Error, match="part-"):
        ask(lake, "SELECT count(*) FROM completions")
    Path(lake.location, "catalog.duckdb").unlink()
    with pytest.raises(LakeDamagedError, match="part-"):
        Lake.open(lake.location).ensure_catalog()


READER = """
import json, sys
import duckdb
settings = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
connection = duckdb.connect(sys.argv[1], read_only=True, config=settings)
views = [row[0] for row in connection.execute(
    "SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
found = {view: len(connection.execute(f"FROM {view}").fetchall()) for view in sorted(views)}
print(json.dumps([duckdb.__version__, found]))
"""


def interpreters() -> list[Any]:
    """This interpreter, and the one with another DuckDB if there is one."""
    other = os.environ.get("CHATLAKE_OTHER_DUCKDB_PYTHON", "")
    reason = "CHATLAKE_OTHER_DUCKDB_PYTHON names no interpreter with another DuckDB"
    skip = pytest.mark.skipif(not other, reason=reason)
    return [pytest.param(sys.executable, id="this"), pytest.param(other, id="other", marks=skip)]


@pytest.mark.parametrize("python", interpreters())
def test_plain_duckdb_opens_it_from_anywhere(lake: Lake, tmp_path: Path, python: str) -> None:
    """Read-only, from another folder, without extensions: empty, then with rows in each view."""
    lake.ensure_catalog()

    def read() -> dict[str, int]:
        command = [python, "-I", "-c", READER, f"{lake.location}/catalog.duckdb"]
        done = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True)
        found: dict[str, int] = json.loads(done.stdout)[1]
        return found

    assert read() == dict.fromkeys(sorted(VIEWS), 0)
    call = '[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]'
    picture = rows.image(b"x")
    store(
        lake,
        Manifest(
            runs=[
                SourceRun(
                    run_id="r",
                    source="openai",
                    status="",
                    mode="",
                    started_at="2026-01-02T03:04:05Z",
                ),
            ],
            failures=[Failure(source="openai", completion_id="z", reason="", detail="")],
        ),
        completions=[
            rows.completion("a", metadata=[("k", "v")]),
            rows.completion("b"),
            rows.completion("c"),
        ],
        messages=[
            rows.message("a", 0, text="x", tool_calls=call),
            rows.message("a", 1, text="y", role="assistant", direction="output"),
            rows.message("b", 0, text="x"),
            rows.message("b", 1, text="y", role="assistant"),
            rows.message("c", 0, text="x"),
        ],
        content_parts=[
            rows.part("a", 0, text="x"),
            rows.part("a", 1, type="image_url", image_sha256=picture["sha256"]),
        ],
        images=[picture],
        message_history=[rows.lost_message("a", 1)],
    )
    more = {"content_parts": 2, "messages": 5, "duplicates": 2}
    every = dict.fromkeys(("completions", "transcripts", "completion_history", "costs"), 3)
    assert read() == {**dict.fromkeys(sorted(VIEWS), 1), **every, **more}
