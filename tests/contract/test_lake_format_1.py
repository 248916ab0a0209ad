"""A lake that the first version of format 1 wrote: every later version reads and continues it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chatlake.bootstrap.backup import open_lake
from chatlake.exports.raw import export_raw
from chatlake.lake import Lake
from chatlake.lake.catalog.views import VIEWS
from chatlake.simulator import Scenario, running
from chatlake.verify.run import verify
from tests.fixtures.make_lake import rows_of
from tests.support import NOW, backup, rows, settings_for

KEPT = Path(__file__).parents[1] / "fixtures" / "lake_format_1"
SHOWN: dict[str, Any] = json.loads((KEPT / "views.json").read_text())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A copy of it."""
    return Lake.open(shutil.copytree(KEPT / "lake", tmp_path / "lake"))


def test_it_has_something_of_everything() -> None:
    """No view is empty; there are changes, deletions, gaps, exact texts, images and repeated
    replies.
    """
    assert SHOWN.keys() <= set(VIEWS)
    assert all(view["rows"] for view in SHOWN.values())

    def values(view: str, column: str) -> set[Any]:
        place = SHOWN[view]["columns"].index(column)
        return {row[place] for row in SHOWN[view]["rows"]}

    assert values("completion_history", "change") == {"created", "changed", "deleted"}
    assert values("runs", "status") == {"complete", "incomplete"}
    assert values("completions", "source") == {"openai", "repeating"}
    for view, column in (
        ("completions", "deleted_at"), ("messages", "raw_exact"), ("messages", "echo_raw"),
        ("messages", "invalid_argument_calls"), ("content_parts", "image_sha256"),
    ):  # fmt: skip
        found = [row[SHOWN[view]["columns"].index(column)] for row in SHOWN[view]["rows"]]
        assert any(value is not None for value in found), column
        assert any(value is None for value in found), column


@pytest.mark.sample(4)
@pytest.mark.parametrize("view", SHOWN)
def test_a_view_shows_what_it_showed(lake: Lake, view: str) -> None:
    """Each column of that time still has the same values, except for two that now say more."""
    expected = SHOWN[view]["rows"]
    with lake.connect() as connection:
        found = rows_of(connection, view, SHOWN[view]["columns"])
        ((messages,),) = connection.execute("SELECT count(*) FROM messages").fetchall()
    if view == "daily_usage":  # replies of completions without inputs are counted now
        place = SHOWN[view]["columns"].index("messages")
        assert sum(row[place] for row in found) == messages
        found, expected = ([row[:place] + row[place + 1 :] for row in r] for r in (found, expected))
    if view == "transcripts":  # tool calls and images have marks now
        place = SHOWN[view]["columns"].index("transcript")
        more = [
            len(now[place]) - len(then[place]) for now, then in zip(found, expected, strict=True)
        ]
        assert min(more) == 0
        assert sum(more) > 0
        found, expected = ([row[:place] + row[place + 1 :] for row in r] for r in (found, expected))
    assert found == expected


def test_it_is_exported_byte_for_byte_as_it_was(lake: Lake, tmp_path: Path) -> None:
    """What the sources sent is exported as it was then, with images back in place."""
    export_raw(lake, tmp_path / "raw.jsonl")
    assert (tmp_path / "raw.jsonl").read_bytes() == (KEPT / "raw.jsonl").read_bytes()


def test_it_is_sound(lake: Lake) -> None:
    """Files, manifests, checkpoint, keys and counts pass today's verification."""
    assert verify(lake).findings == []
    assert lake.state.number > 32


def test_a_backup_goes_on_with_it(lake: Lake, tmp_path: Path) -> None:
    """New completions are added, and existing ones stay unmarked: the list is another account's."""
    with running(Scenario(completions=3, seed=77, now=NOW + 90_000)) as server:
        settings = settings_for(tmp_path, server.base_url)
        report = backup(settings, full=True)
        new = set(server.ids())

    before = {row[SHOWN["completions"]["columns"].index("completion_id")]
              for row in SHOWN["completions"]["rows"]}  # fmt: skip
    assert report.sources[0].run.new == 3
    assert report.sources[0].run.deleted == 0
    assert rows(settings, "FROM message_history") == []
    assert {
        name for (name,) in rows(settings, "SELECT completion_id FROM completions")
    } == before | new
    assert verify(open_lake(settings)).findings == []
