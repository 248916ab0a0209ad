"""Stored messages of single completions, and those that a new version would lose."""

from __future__ import annotations

import pytest

from chatlake.errors import LakeDamagedError
from chatlake.lake import Lake
from chatlake.model.manifest import Manifest
from chatlake.storage.memory import MemoryStorage
from chatlake.verify.run import verify
from tests import lake_rows as rows

SEEN = int(rows.SEEN.timestamp()) * 1_000_000


@pytest.fixture
def lake() -> Lake:
    """Give a lake in memory with two files of messages: of a and b, then of c."""
    lake = Lake(MemoryStorage())
    lake.create()
    first = [
        rows.message("a", 1, raw='{"n":1}', raw_exact='{"n":"exact"}'),
        rows.message("b", 0),
        rows.message("a", 0, raw='{"n":0}'),
        rows.message("a", 2, direction="output", raw='{"n":2}'),
    ]
    for messages in (first, [rows.message("c", 0)]):
        owners = {message["completion_id"] for message in messages}
        counts = {name: sum(m["completion_id"] == name for m in messages) for name in owners}
        found = {
            "completions": [rows.completion(name, message_count=counts[name]) for name in owners],
            "messages": messages,
        }
        parts = {(t, rows.DAY): rows.columns(t, found[t]) for t in found}
        lake.commit(Manifest(added=lake.write_parts(parts)))
    return lake


def test_stored_messages_come_in_order_and_as_sent(lake: Lake) -> None:
    """Of the completions that are asked for, of all files, the exact text where there is one."""
    assert lake.stored_messages(rows.DAY, {"a", "c", "unknown"}) == {
        "a": [
            ("a-0", "input", '{"n":0}'),
            ("a-1", "input", '{"n":"exact"}'),
            ("a-2", "output", '{"n":2}'),
        ],
        "c": [("c-0", "input", rows.message("c", 0)["raw"])],
    }
    assert lake.stored_messages(rows.DAY, set()) == {}


def test_lost_messages_are_rows_of_the_history(lake: Lake) -> None:
    """Just those that are named, with the time at which their completion was stored."""
    lost = lake.lost_messages(rows.DAY, {"a": {"a-1"}, "c": {"c-0"}, "unknown": {"x"}})
    assert lost is not None
    assert lost["message_id"] == ["a-1", "c-0"]
    assert lost["observed_at"] == [SEEN, SEEN]
    assert lost["raw_exact"] == ['{"n":"exact"}', None]
    assert lake.lost_messages(rows.DAY, {}) is None
    assert lake.lost_messages(rows.DAY, {"a": set()}) is None


def test_an_altered_file_is_no_answer(lake: Lake) -> None:
    """Messages that cannot be compared are never taken for messages that came again."""
    (file,) = [f for f in lake.state.table_files("messages") if f.rows == 4]
    lake.storage.replace(file.path, lake.storage.read(file.path)[:-40])
    with pytest.raises(LakeDamagedError):
        lake.stored_messages(rows.DAY, {"a"})


def test_verify_knows_the_history_of_messages(lake: Lake) -> None:
    """A row of a completion that is not stored, and one that is there twice, are named."""
    good = [rows.lost_message("a", 0)]
    lake.commit(Manifest(added=[rows.write(lake.storage, "message_history", good)]))
    assert _but_for_made_up_rows(lake) == []
    bad = [rows.lost_message("a", 0), rows.lost_message("z", 0)]
    lake.commit(Manifest(added=[rows.write(lake.storage, "message_history", bad)]))
    assert _but_for_made_up_rows(lake) == ["duplicate", "orphan"]


def _but_for_made_up_rows(lake: Lake) -> list[str]:
    """Return what verify finds, but that the raw of these messages gives other columns."""
    found = sorted(finding.kind for finding in verify(lake).findings)
    return [kind for kind in found if kind != "derived"]
