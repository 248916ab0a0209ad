"""The views for readers: what they show, and that a day's filter reads a day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chatlake.lake import Lake
from chatlake.lake.catalog.views import VIEWS
from chatlake.model.manifest import Manifest
from chatlake.model.partitions import Partition
from chatlake.model.prices import Price
from tests import lake_rows
from tests.lake_rows import NOON, completion, message

CALL = [
    {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"n":1}'}}
]
PARTS = json.dumps({
    "content_parts": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"chatlake-image:{'ab' * 32};data:image/png;base64,"}},
        {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}},
    ]
})  # fmt: skip
DAYS, A_DAY = 40, 150


def add(lake: Lake, partition: Partition, **tables: list[dict[str, Any]]) -> None:
    """Commit rows of some tables of one day."""
    found = {(name, partition): lake_rows.columns(name, rows) for name, rows in tables.items()}
    lake.commit(Manifest(added=lake.write_parts(found)))


def reply(
    key: str, index: int, created: int = NOON, choice: int = 0, **more: Any
) -> dict[str, Any]:
    """Return a row of an output message."""
    return message(
        key, index, created, direction="output", role="assistant", choice_index=choice, **more
    )


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Two turns of a conversation with a tool, an image, a refusal; a repeated question."""
    prices = [
        Price("gpt-*", date(2025, 1, 1), 10.0, None, 20.0),
        Price("gpt-4o", date(2025, 1, 1), 1.0, 0.5, 2.0),
        Price("gpt-4o", date(2026, 1, 2), 2.0, 0.5, 4.0),
        Price("gpt-4o", date(2026, 1, 3), 9.0, 9.0, 9.0),
    ]
    lake = Lake.open(tmp_path_factory.mktemp("views") / "lake", create=True, prices=prices)
    later = NOON + 60
    tokens = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    with lake.lock():
        add(
            lake,
            lake_rows.DAY,
            completions=[
                completion("first", message_count=2, cached_tokens=400, **tokens),
                completion(
                    "second", later, message_count=5, choice_count=2, image_count=2, **tokens
                ),
                completion("again", later + 60, model="other", metadata=[("user", "7")]),
                completion("bare", later + 90, message_count=None, model="gpt-5"),
            ],
            messages=[
                message("first", 0, text="Find one", part_count=1),
                reply("first", 1, tool_calls=json.dumps(CALL), finish_reason="tool_calls"),
                message("second", 0, later, text="Find one", part_count=1),
                message("second", 1, later, role="assistant", tool_calls=json.dumps(CALL)),
                message("second", 2, later, role="tool", text="found", tool_call_id="call_1"),
                message("second", 3, later, text="What is this?", part_count=3, raw=PARTS),
                reply("second", 4, later, text="A mark.", finish_reason="stop"),
                reply("second", 5, later, 1, refusal="No.", finish_reason="stop"),
                message("again", 0, later + 60, text="Find one", part_count=1, model="other"),
                reply("again", 1, later + 60, text="Done", model="other"),
            ],
        )
    with lake.connect() as connection:
        yield connection


def rows(views: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """Run SQL on the views, and return the rows."""
    return views.execute(query).fetchall()


def test_a_transcript_can_be_followed(views: duckdb.DuckDBPyConnection) -> None:
    """Roles, texts, calls and their results, a mark for each image, choices and refusals."""
    found = rows(views, "SELECT transcript, message_count, total_tokens FROM transcripts "
                        "WHERE completion_id = 'second'")  # fmt: skip
    transcript = (
        "user: Find one\n\n"
        'assistant:\n[calls look_up {"n":1}]\n\n'
        "tool call_1: found\n\n"
        "user: What is this?\n[image abababababab]\n[image https://example.test/a.png]\n\n"
        "assistant: A mark.\n\n"
        "assistant (choice 1):\n[refusal] No."
    )
    assert found == [(transcript, 5, 1100)]


def test_a_reply_stands_with_what_it_answers(views: duckdb.DuckDBPyConnection) -> None:
    """One row a choice: text, refusal, tools, tokens and the last user text."""
    found = rows(
        views,
        "SELECT completion_id, choice_index, text, refusal, tool_names, last_user_text, "
        "total_tokens FROM replies ORDER BY created_at, choice_index",
    )
    assert found == [
        ("first", 0, None, None, ["look_up"], "Find one", 1100),
        ("second", 0, "A mark.", None, None, "What is this?", 1100),
        ("second", 1, None, "No.", None, "What is this?", 1100),
        ("again", 0, "Done", None, None, "Find one", None),
    ]


def test_a_tool_call_says_whether_it_was_answered(views: duckdb.DuckDBPyConnection) -> None:
    """Only answers in its own completion count: the first call's comes in the next one."""
    found = rows(
        views,
        "SELECT completion_id, message_index, choice_index, model, created_date, answered "
        "FROM tool_calls ORDER BY created_at",
    )
    day = date(2026, 1, 2)
    assert found == [
        ("first", 1, 0, "gpt-4o", day, False),
        ("second", 1, None, "gpt-4o", day, True),
    ]


def test_turns_of_one_conversation_are_found(views: duckdb.DuckDBPyConnection) -> None:
    """The second completion's inputs begin with the first's inputs and reply; nothing else does."""
    found = rows(
        views, "SELECT completion_id, earlier_completion_id, shared_messages FROM continues"
    )
    assert found == [("second", "first", 2)]


def test_repeated_inputs_are_found(views: duckdb.DuckDBPyConnection) -> None:
    """Completions with the same inputs are found, also of different models."""
    found = rows(
        views,
        "SELECT completion_id, model, copies, first_completion_id FROM duplicates ORDER BY "
        "created_at",
    )
    assert found == [("first", "gpt-4o", 2, "first"), ("again", "other", 2, "first")]


def test_costs_take_the_most_exact_and_newest_price(views: duckdb.DuckDBPyConnection) -> None:
    """By day and model; cached tokens at their own price; NULL without a price, or without tokens."""
    found = rows(views, "SELECT completion_id, price_model, price_valid_from, input_dollars, "
                        "cached_input_dollars, output_dollars, dollars FROM costs ORDER BY created_at")  # fmt: skip
    day = date(2026, 1, 2)
    assert found == [
        ("first", "gpt-4o", day, 0.0012, 0.0002, 0.0004, 0.0018),
        ("second", "gpt-4o", day, 0.002, 0.0, 0.0004, 0.0024),
        ("again", None, None, None, None, None, None),
        ("bare", "gpt-*", date(2025, 1, 1), None, None, None, None),
    ]
    assert rows(views, "SELECT count(*) - count(dollars) FROM costs") == [(2,)]


def test_daily_usage_counts_refusals_and_details(views: duckdb.DuckDBPyConnection) -> None:
    """A completion with a refusal counts once; an unknown value is not zero."""
    found = rows(views, "SELECT model, completions, messages, refusals, cached_tokens, "
                        "reasoning_tokens FROM daily_usage ORDER BY model")  # fmt: skip
    assert found == [
        ("gpt-4o", 2, 7, 1, 400, None),
        ("gpt-5", 1, None, 0, None, None),
        ("other", 1, 2, 0, None, None),
    ]


def test_an_image_of_two_days_is_one_row(tmp_path: Path) -> None:
    """An image of two days is one row, with its bytes and all its references."""
    lake = Lake.open(tmp_path / "lake", create=True)
    image = lake_rows.image(b"\x89PNG")
    part = {"type": "image_url", "image_sha256": image["sha256"], "media_type": "image/png"}
    with lake.lock():
        for key, partition in (("a", lake_rows.DAY), ("b", Partition("azure", "2026-01-05"))):
            add(lake, partition, images=[image], content_parts=[lake_rows.part(key, 0, **part)])
    with lake.connect() as connection:
        found = rows(connection, "SELECT data, first_created_date, last_created_date, sources, "
                                 "reference_count FROM all_images")  # fmt: skip
        assert rows(connection, "SELECT count(*) FROM images") == [(2,)]
    assert found == [(b"\x89PNG", date(2026, 1, 2), date(2026, 1, 5), ["azure", "openai"], 2)]


def test_every_view_and_column_has_a_comment(views: duckdb.DuckDBPyConnection) -> None:
    """The meaning of each column is in the catalogue, for readers with another program."""
    shown = rows(views, "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'main' "
                        "AND database_name = 'lake'")  # fmt: skip
    assert {name for name, _ in shown} == set(VIEWS)
    assert all(comment for _, comment in shown)
    assert not rows(views, "SELECT table_name, column_name FROM duckdb_columns() WHERE "
                           "database_name = 'lake' AND schema_name = 'main' AND comment IS NULL")  # fmt: skip


def test_other_prices_are_another_catalogue(tmp_path: Path) -> None:
    """A changed configuration shows in the next query, without a new commit."""
    lake = Lake.open(tmp_path / "lake", create=True)
    with lake.lock():
        row = completion("a", prompt_tokens=1_000_000, completion_tokens=0)
        add(lake, lake_rows.DAY, completions=[row])

    def dollars(*prices: Price) -> list[tuple[Any, ...]]:
        with Lake.open(tmp_path / "lake", prices=prices).connect() as connection:
            return rows(connection, "SELECT dollars FROM costs")

    assert dollars() == [(None,)]
    assert dollars(Price("gpt-4o", date(2025, 1, 1), 3.0, None, 4.0)) == [(3.0,)]
    assert dollars(Price("gpt-4o", date(2025, 1, 1), 5.0, None, 4.0)) == [(5.0,)]
    assert dollars() == [(None,)]


@pytest.fixture(scope="module")
def long_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Forty days of completions with four messages each."""
    lake = Lake.open(tmp_path_factory.mktemp("long") / "lake", create=True)
    with lake.lock():
        for number in range(DAYS):
            created = NOON + number * 86_400
            day = datetime.fromtimestamp(created, UTC).date().isoformat()
            keys = [f"c{number}-{each}" for each in range(A_DAY)]
            add(
                lake,
                Partition("openai", day),
                completions=[completion(key, created, message_count=4) for key in keys],
                messages=[
                    (reply if index == 3 else message)(key, index, created, text="words " * 50)
                    for key in keys
                    for index in range(4)
                ],
            )
    with lake.connect() as connection:
        yield connection


@pytest.mark.parametrize("view", ["transcripts", "replies", "tool_calls", "costs", "metadata"])
@pytest.mark.parametrize(
    "condition",
    [
        "created_date = '2026-01-20'",
        "created_at >= '2026-01-20' AND created_at < '2026-01-21'",
    ],
    ids=["date", "time"],
)
def test_a_filter_on_a_day_reads_a_day(
    long_lake: duckdb.DuckDBPyConnection, view: str, condition: str
) -> None:
    """No scan of messages gives out more rows than the day has; most give none of other days."""
    messages = _scanned(long_lake, f"SELECT * FROM {view} WHERE {condition}", "message_index")
    assert all(count <= A_DAY * 4 for count in messages), messages
    assert (messages == []) == (view in ("costs", "metadata"))  # these read no messages
    if view in ("transcripts", "replies"):
        assert max(messages) == A_DAY * 4


def _scanned(connection: duckdb.DuckDBPyConnection, query: str, column: str) -> list[int]:
    """Return the rows that each scan of files gives that reads a column: of one table alone."""
    ((_, text),) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {query}").fetchall()
    waiting, found = [json.loads(text)], []
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        if not isinstance(node, dict):
            continue
        waiting += node.values()
        told = node.get("extra_info")
        if not isinstance(told, dict) or "PARQUET" not in str(told.get("Function")).upper():
            continue
        if column in str(told.get("Projections")):
            found.append(int(node.get("intermediate_rows", node.get("operator_cardinality"))))
    return found


def test_prices_that_a_command_does_not_know_stay(tmp_path: Path) -> None:
    """A lake opened without prices builds its catalogue with those that the last one had."""
    price = Price("gpt-4o", date(2025, 1, 1), 3.0, None, 4.0)
    lake = Lake.open(tmp_path / "lake", create=True, prices=[price])
    with lake.lock():
        add(lake, lake_rows.DAY, completions=[completion("a")])
    other = Lake.open(tmp_path / "lake")
    with other.lock():
        add(other, lake_rows.DAY, completions=[completion("b")])
    assert other.catalog_is_current()
    for opened in (other, Lake.open(tmp_path / "lake", prices=[price])):
        with opened.connect() as connection:
            assert rows(connection, "SELECT price_model FROM costs") == [("gpt-4o",)] * 2
