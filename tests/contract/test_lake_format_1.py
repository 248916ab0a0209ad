"""A lake that the first version of format 1 wrote: every later version reads it and goes on with it."""

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
    """No view is empty; there are changes, deletions, gaps, exact texts, images and repeated replies."""
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


@pytest.mark.parametrize("view", SHOWN)
def test_a_view_shows_what_it_showed(lake: Lake, view: str) -> None:
    """Each column that it had then has the values that it had then."""
    with lake.connect() as connection:
        found = rows_of(connection, view, SHOWN[view]["columns"])
    assert found == SHOWN[view]["rows"]


def test_it_is_exported_byte_for_byte_as_it_was(lake: Lake, tmp_path: Path) -> None:
    """What the sources sent comes out as it came out then, images back in place."""
    export_raw(lake, tmp_path / "raw.jsonl")
    assert (tmp_path / "raw.jsonl").read_bytes() == (KEPT / "raw.jsonl").read_bytes()


def test_it_is_sound(lake: Lake) -> None:
    """Files, manifests, checkpoint, keys and counts pass today's verification."""
    assert verify(lake).findings == []
    assert lake.state.number > 32


def test_a_backup_goes_on_with_it(lake: Lake, tmp_path: Path) -> None:
    """New completions come in, and what is there stays, unmarked: the list is another account's."""
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
